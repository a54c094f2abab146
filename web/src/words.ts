// How the picture, the list and the details name the same things.

import { COUNTERS, type Counter, type DocumentPeer } from "./document.ts";
import type { Edge, Model, Outcome, Pair } from "./model.ts";
import { clean, plural, rfc3339 } from "./text.ts";

export const OUTCOMES: Record<Outcome, string> = {
  observed: "observed",
  attempted: "attempted, never answered",
  lookup: "DNS lookup only",
};

export const MEANING: Record<Counter, string> = {
  connections: "connections answered",
  attempts: "attempts refused or unanswered",
  lookups: "DNS lookups",
  sockets: "sightings of an open socket",
  requests: "requests",
  bytes: "bytes sent by the client",
  flows: "flows",
};

export function door(edge: Edge): string {
  return edge.port ? `${edge.port}/${clean(edge.protocol)}` : clean(edge.protocol);
}

export function doors(pair: Pair): string {
  return [...new Set(pair.edges.map(door))].join(", ");
}

/** Only the counters that counted something, in the order of the documents. */
export function counted(sums: Record<Counter, number>): Counter[] {
  return COUNTERS.filter((counter) => sums[counter]);
}

/** What a search found, in words. */
export function foundWords(peers: number, pairs: number): string {
  return `${plural(peers, "name")} · ${plural(pairs, "pair")}`;
}

interface JsonPeer extends Omit<DocumentPeer, "candidates"> {
  readonly candidates?: JsonPeer[];
}

function jsonPeer(model: Model, index: number): JsonPeer | null {
  const raw = model.document.peers[index];
  if (!raw) return null;
  const { candidates, ...rest } = raw;
  return candidates ? { ...rest, candidates: candidates.flatMap((at) => jsonPeer(model, at) ?? []) } : rest;
}

/** A pair as `list -o json` prints it. */
export function pairJson(model: Model, pair: Pair): string {
  const entry = {
    client: jsonPeer(model, pair.client.index),
    server: jsonPeer(model, pair.server.index),
    ...pair.sums,
    first_seen: rfc3339(pair.first),
    last_seen: rfc3339(pair.last),
    ports: pair.edges.map((edge) => {
      const counts = {} as Record<Counter, number>;
      for (const counter of COUNTERS) counts[counter] = edge[counter];
      return {
        port: edge.port,
        protocol: edge.protocol,
        service: edge.dialled,
        ...counts,
        first_seen: rfc3339(edge.first_seen),
        last_seen: rfc3339(edge.last_seen),
        details: edge.details,
      };
    }),
  };
  return JSON.stringify(entry, null, 2);
}

// The map in the shape that views ask for: peers with names, pairs with sums, namespaces as groups of peers.
//
// An edge is a pair of peers seen through one door (service, port, protocol). A pair is a row of the list and a line of
// the picture; its edges are its details. A peer that may have been one of several is drawn as a line to each of them.

import {
  COUNTERS,
  type Counter,
  type DocumentEdge,
  type MapDocument,
  type PeerType,
  type ServiceRef,
} from "./document.ts";
import { clean } from "./text.ts";

/** `attempted`: nobody ever answered. `lookup`: only the name was asked for. */
export type Outcome = "observed" | "attempted" | "lookup";

export interface Peer {
  readonly index: number;
  readonly type: PeerType;
  /** The same for the same peer in another page of the same cluster: it stands in addresses. */
  readonly key: string;
  /** Clean and short, for a picture where its surroundings say the rest. */
  readonly title: string;
  /** Clean and whole, for text. */
  readonly label: string;
  readonly namespace: string;
  readonly kind: string;
  /** Key of its group; empty for an ambiguous peer, which is in none. */
  readonly group: string;
  readonly candidates: readonly number[];
  /** Lower case, for the search. */
  readonly text: string;
}

export type Edge = Required<DocumentEdge> & { readonly dialled: ServiceRef | null };

export interface Pair {
  readonly index: number;
  readonly key: string;
  readonly client: Peer;
  readonly server: Peer;
  readonly edges: Edge[];
  readonly sums: Record<Counter, number>;
  readonly ports: number[];
  readonly protocols: string[];
  readonly outcome: Outcome;
  readonly first: number;
  readonly last: number;
  readonly text: string;
}

export type GroupKind = "namespace" | "outside" | "nodes";

export interface Group {
  readonly key: string;
  readonly kind: GroupKind;
  readonly title: string;
  readonly members: Peer[];
  readonly callers: Set<string>;
  readonly callees: Set<string>;
}

/** One line of the finest picture. */
export interface Link {
  readonly from: Peer;
  readonly to: Peer;
  readonly pair: Pair;
  readonly uncertain: boolean;
}

export interface Model {
  readonly document: MapDocument;
  readonly peers: Peer[];
  readonly pairs: Pair[];
  readonly links: Link[];
  /** Namespaces by name, then nodes and the outside. */
  readonly groups: Map<string, Group>;
  readonly workloads: number;
  readonly peerByKey: Map<string, Peer>;
  readonly pairByKey: Map<string, Pair>;
  /** Pairs by position of a peer at either end, or of a candidate. */
  readonly pairsOf: Map<number, Pair[]>;
}

export const OUTSIDE = "outside";
export const NODES = "nodes";
const RANK: Record<GroupKind, number> = { namespace: 0, nodes: 1, outside: 2 };

export function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function makePeers(document: MapDocument): Peer[] {
  const kinds = new Map<string, Set<string>>();
  for (const { type, name = "", namespace = "", kind = "" } of document.peers) {
    if (type !== "workload") continue;
    const twins = JSON.stringify([name, namespace]);
    kinds.set(twins, (kinds.get(twins) ?? new Set()).add(kind));
  }
  const peers: Peer[] = [];
  for (const [index, raw] of document.peers.entries()) {
    const { type, name = "", namespace = "", kind = "", candidates = [] } = raw;
    const place = clean(namespace);
    let title = clean(name);
    let label = title;
    let group = "";
    let key = JSON.stringify([type, name]);
    switch (type) {
      case "workload":
        if ((kinds.get(JSON.stringify([name, namespace]))?.size ?? 0) > 1) title = `${title} (${clean(kind)})`;
        label = `${place}/${title}`;
        group = `namespace:${namespace}`;
        key = JSON.stringify([type, name, namespace, kind]);
        break;
      case "service":
        label = `${place}/${title} (service)`;
        group = `namespace:${namespace}`;
        key = JSON.stringify([type, name, namespace]);
        break;
      case "node":
        label = `node ${title}`;
        group = NODES;
        break;
      case "external":
        label = `${title} (external)`;
        group = OUTSIDE;
        break;
      case "ambiguous":
        // Candidates stand before those who may be them.
        title = candidates.map((at) => peers[at]?.label ?? "").join(" | ");
        label = `${title} (ambiguous)`;
        key = JSON.stringify([type, ...candidates.map((at) => peers[at]?.key)]);
    }
    const text = `${type} ${label} ${name} ${namespace} ${kind}`.toLowerCase();
    peers.push({ index, type, key, title, label, namespace: place, kind: clean(kind), group, candidates, text });
  }
  return peers;
}

function outcomeOf(sums: Record<Counter, number>): Outcome {
  if (sums.connections || sums.sockets || sums.requests || sums.flows) return "observed";
  if (sums.attempts) return "attempted";
  return sums.lookups ? "lookup" : "observed";
}

function pairText(client: Peer, server: Peer, edges: readonly Edge[]): string {
  const words = [client.text, server.text];
  for (const edge of edges) {
    words.push(edge.protocol, edge.dialled ? `${edge.dialled.namespace}/${edge.dialled.name}` : "");
    words.push(...Object.keys(edge.details));
  }
  return words.join(" ").toLowerCase();
}

function makePairs(document: MapDocument, peers: readonly Peer[]): Pair[] {
  const edgesOf = new Map<string, Edge[]>();
  for (const raw of document.edges) {
    const blank = { service: -1, port: 0, first_seen: 0, last_seen: 0, details: {} };
    const counts = { connections: 0, attempts: 0, lookups: 0, sockets: 0, requests: 0, bytes: 0, flows: 0 };
    const dialled = document.services[raw.service ?? -1] ?? null;
    const edge: Edge = { ...blank, ...counts, ...raw, dialled };
    const ends = `${edge.client} ${edge.server}`;
    const found = edgesOf.get(ends);
    if (found) found.push(edge);
    else edgesOf.set(ends, [edge]);
  }
  const pairs: Pair[] = [];
  for (const edges of edgesOf.values()) {
    const client = peers[edges[0]?.client ?? -1];
    const server = peers[edges[0]?.server ?? -1];
    if (!client || !server) continue;
    edges.sort((a, b) => a.port - b.port || compare(a.protocol, b.protocol));
    const sums = {} as Record<Counter, number>;
    for (const counter of COUNTERS) sums[counter] = edges.reduce((sum, edge) => sum + edge[counter], 0);
    pairs.push({
      index: pairs.length,
      key: JSON.stringify([client.key, server.key]),
      client,
      server,
      edges,
      sums,
      ports: [...new Set(edges.map((edge) => edge.port).filter(Boolean))],
      protocols: [...new Set(edges.map((edge) => clean(edge.protocol)))],
      outcome: outcomeOf(sums),
      first: Math.min(...edges.map((edge) => edge.first_seen)),
      last: Math.max(...edges.map((edge) => edge.last_seen)),
      text: pairText(client, server, edges),
    });
  }
  return pairs;
}

/** Whom a peer is drawn as: itself, or each of its candidates. */
function drawnAs(peer: Peer, peers: readonly Peer[]): Peer[] {
  return peer.type === "ambiguous" ? peer.candidates.flatMap((at) => peers[at] ?? []) : [peer];
}

function makeGroups(peers: readonly Peer[], links: readonly Link[]): Map<string, Group> {
  const found = new Map<string, Group>();
  for (const peer of peers) {
    if (!peer.group) continue;
    let group = found.get(peer.group);
    if (!group) {
      const kind = peer.group === OUTSIDE || peer.group === NODES ? peer.group : "namespace";
      const title = kind === "namespace" ? peer.namespace : kind === "nodes" ? "nodes" : "outside the cluster";
      group = { key: peer.group, kind, title, members: [], callers: new Set(), callees: new Set() };
      found.set(peer.group, group);
    }
    group.members.push(peer);
  }
  for (const group of found.values()) {
    group.members.sort((a, b) => compare(a.title, b.title) || compare(a.key, b.key));
  }
  for (const { from, to } of links) {
    if (from.group === to.group) continue;
    found.get(from.group)?.callees.add(to.group);
    found.get(to.group)?.callers.add(from.group);
  }
  const sorted = [...found.values()].sort((a, b) => RANK[a.kind] - RANK[b.kind] || compare(a.title, b.title));
  return new Map(sorted.map((group) => [group.key, group]));
}

export function makeModel(document: MapDocument): Model {
  const peers = makePeers(document);
  const pairs = makePairs(document, peers);
  const links: Link[] = [];
  const pairsOf = new Map<number, Pair[]>();
  for (const pair of pairs) {
    const uncertain = pair.client.type === "ambiguous" || pair.server.type === "ambiguous";
    const clients = drawnAs(pair.client, peers);
    const servers = drawnAs(pair.server, peers);
    for (const from of clients) for (const to of servers) links.push({ from, to, pair, uncertain });
    for (const end of new Set([pair.client, pair.server, ...clients, ...servers])) {
      const known = pairsOf.get(end.index);
      if (known) known.push(pair);
      else pairsOf.set(end.index, [pair]);
    }
  }
  return {
    document,
    peers,
    pairs,
    links,
    groups: makeGroups(peers, links),
    workloads: peers.filter((peer) => peer.type === "workload").length,
    peerByKey: new Map(peers.map((peer) => [peer.key, peer])),
    pairByKey: new Map(pairs.map((pair) => [pair.key, pair])),
    pairsOf,
  };
}

/** The strongest of several: something answered, else an attempt, else a lookup. */
export function strongest(outcomes: Iterable<Outcome>): Outcome {
  const all = new Set(outcomes);
  return all.has("observed") ? "observed" : all.has("attempted") ? "attempted" : "lookup";
}

/** What a group holds, in words. */
export function contents(group: Group): { count: number; noun: string } {
  const noun = group.kind === "namespace" ? "workload" : group.kind === "nodes" ? "node" : "name";
  return { count: group.members.length, noun };
}

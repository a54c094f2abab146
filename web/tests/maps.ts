// Small maps for the tests, written as pairs of names: "shop/frontend>data/postgres".

import type { DocumentEdge, DocumentPeer, MapDocument } from "../src/document.ts";
import { type Model, makeModel } from "../src/model.ts";
import type { Measure } from "../src/scene.ts";

export const measure: Measure = (text, size) => text.length * size * 0.6;
export const STAGE = { width: 1400, height: 760 };

function peerOf(name: string): DocumentPeer {
  const [first = "", second] = name.split("/");
  if (second !== undefined) return { type: "workload", name: second, namespace: first, kind: "Deployment" };
  return first.startsWith("node") ? { type: "node", name: first } : { type: "external", name: first };
}

export function mapOf(
  lines: readonly string[],
  change: Partial<DocumentEdge> = { connections: 1, port: 80 },
): MapDocument {
  const names = [...new Set(lines.flatMap((line) => line.split(">")))];
  const edges = lines.map((line): DocumentEdge => {
    const [client = "", server = ""] = line.split(">");
    return { client: names.indexOf(client), server: names.indexOf(server), protocol: "tcp", ...change };
  });
  return {
    format: 1,
    title: "",
    store: "test",
    epoch: 1,
    watching_since: 0,
    generated_at: 0,
    since: 0,
    until: 0,
    left_out: 0,
    peers: names.map(peerOf),
    services: [],
    edges,
  };
}

export function modelOf(lines: readonly string[], change?: Partial<DocumentEdge>): Model {
  return makeModel(mapOf(lines, change));
}

/** So many namespaces that call one another in a circle, and all call the first. */
export function wide(namespaces: number, workloads = 1): string[] {
  const name = (at: number): string => `team-${String(at % namespaces).padStart(3, "0")}`;
  const lines: string[] = [];
  for (let at = 0; at < namespaces; at += 1) {
    for (let one = 0; one < workloads; one += 1) {
      lines.push(`${name(at)}/app-${one}>${name(at + 1)}/app-0`, `${name(at)}/app-${one}>${name(0)}/app-0`);
    }
  }
  return [...new Set(lines)];
}

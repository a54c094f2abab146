// One search for the picture and the list: every word has to be found, in any order.
//
// A word of digits is also a port, and then the whole port; `:80` is nothing but a port.

import { compare, type Group, type Model, type Pair, type Peer } from "./model.ts";

export interface Found {
  readonly words: readonly string[];
  readonly groups: ReadonlySet<string>;
  readonly peers: ReadonlySet<number>;
  readonly pairs: ReadonlySet<number>;
  /** Peers in the order of how well they match. */
  readonly best: readonly Peer[];
}

function pairHas(pair: Pair, word: string): boolean {
  const port = /^:?(\d{1,5})$/.exec(word);
  if (port && pair.ports.includes(Number(port[1]))) return true;
  return !word.startsWith(":") && pair.text.includes(word);
}

/** 0 for a name that is the word, 1 for one that begins with it, 2 for one that contains it, 3 for all else. */
function distance(peer: Peer, word: string): number {
  const name = peer.title.toLowerCase();
  if (name === word || peer.label.toLowerCase() === word) return 0;
  return name.startsWith(word) ? 1 : name.includes(word) ? 2 : 3;
}

/** Null for an empty search, which finds everything. */
export function search(model: Model, query: string): Found | null {
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  const first = words[0];
  if (first === undefined) return null;
  const all = (text: string): boolean => words.every((word) => text.includes(word));
  const best = model.peers
    .filter((peer) => peer.type !== "ambiguous" && all(peer.text))
    .map((peer) => ({ peer, far: distance(peer, first) }))
    .sort((a, b) => a.far - b.far || compare(a.peer.label, b.peer.label))
    .map(({ peer }) => peer);
  const groups = [...model.groups.values()].filter((group: Group) => all(group.title.toLowerCase()));
  const pairs = model.pairs.filter((pair) => words.every((word) => pairHas(pair, word)));
  return {
    words,
    groups: new Set(groups.map((group) => group.key)),
    peers: new Set(best.map((peer) => peer.index)),
    pairs: new Set(pairs.map((pair) => pair.index)),
    best,
  };
}

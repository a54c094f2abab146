// What is looked at, as it stands in the page's address: a link to a picture shows the same picture.

export type View = "picture" | "both" | "list";
export type Theme = "system" | "light" | "dark";

export interface State {
  view: View;
  /** Key of the group that is unfolded. */
  open: string;
  /** Key of the peer whose neighbours are shown. */
  focus: string;
  /** Key of the selected peer. */
  peer: string;
  /** Key of the selected pair. */
  pair: string;
  /** Keys of the two ends of a selected line that stands for several pairs. */
  line: string;
  query: string;
  /** Whether lines of few pairs are drawn too. */
  lines: "few" | "all";
  /** Column of the list, with "-" before it for descending. */
  sort: string;
  page: number;
  theme: Theme;
}

export const START: Readonly<State> = {
  view: "picture",
  open: "",
  focus: "",
  peer: "",
  pair: "",
  line: "",
  query: "",
  lines: "few",
  sort: "",
  page: 1,
  theme: "system",
};

function oneOf<T extends string>(value: string | null, allowed: readonly T[], otherwise: T): T {
  return allowed.find((item) => item === value) ?? otherwise;
}

/** The state that an address means; what it does not say or says wrongly is as at the start. */
export function parse(hash: string): State {
  const fields = new URLSearchParams(hash.replace(/^#/, ""));
  const text = (name: string): string => fields.get(name) ?? "";
  return {
    view: oneOf(fields.get("view"), ["picture", "both", "list"], START.view),
    open: text("open"),
    focus: text("focus"),
    peer: text("peer"),
    pair: text("pair"),
    line: text("line"),
    query: text("query"),
    lines: oneOf(fields.get("lines"), ["few", "all"], START.lines),
    sort: text("sort"),
    page: Math.max(1, Number.parseInt(text("page"), 10) || 1),
    theme: oneOf(fields.get("theme"), ["system", "light", "dark"], START.theme),
  };
}

/** The address of a state; it names only what differs from the start. */
export function format(state: State): string {
  const fields = new URLSearchParams();
  for (const name of Object.keys(START) as (keyof State)[]) {
    if (state[name] !== START[name]) fields.set(name, String(state[name]));
  }
  return `#${fields}`;
}

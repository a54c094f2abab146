// The map as a list: a table of pairs beside the picture, with the same search and the same scope.

import { COUNTERS, type Counter } from "./document.ts";
import { h } from "./dom.ts";
import { compare, type Model, type Pair } from "./model.ts";
import { type Go, NOTHING } from "./panel.ts";
import type { State } from "./state.ts";
import { number, plural, time } from "./text.ts";
import { doors, OUTCOMES } from "./words.ts";

export const PAGE_ROWS = 100;

interface Column {
  readonly key: string;
  readonly title: string;
  readonly numeric: boolean;
  readonly text: (pair: Pair) => string;
  readonly order: (a: Pair, b: Pair) => number;
}

function columnsOf(model: Model): Column[] {
  const text = (key: string, title: string, get: (pair: Pair) => string): Column => ({
    key,
    title,
    numeric: false,
    text: get,
    order: (a, b) => compare(get(a), get(b)),
  });
  // A counter that counted nothing anywhere needs no column.
  const counters = COUNTERS.filter((counter) => model.pairs.some((pair) => pair.sums[counter]));
  return [
    text("client", "Client", (pair) => pair.client.label),
    text("server", "Server", (pair) => pair.server.label),
    {
      ...text("ports", "Ports", doors),
      order: (a, b) => (a.ports[0] ?? 0) - (b.ports[0] ?? 0) || compare(doors(a), doors(b)),
    },
    text("outcome", "Outcome", (pair) => OUTCOMES[pair.outcome]),
    ...counters.map(
      (counter: Counter): Column => ({
        key: counter,
        title: counter[0]?.toUpperCase() + counter.slice(1),
        numeric: true,
        text: (pair) => (pair.sums[counter] ? number(pair.sums[counter]) : ""),
        order: (a, b) => a.sums[counter] - b.sums[counter],
      }),
    ),
    { ...text("first", "First seen", (pair) => time(pair.first)), order: (a, b) => a.first - b.first },
    { ...text("last", "Last seen", (pair) => time(pair.last)), order: (a, b) => a.last - b.last },
  ];
}

export class Table {
  readonly element = h("section", { class: "list", "aria-label": "List of connections" });
  readonly #model: Model;
  readonly #go: Go;
  readonly #columns: Column[];
  readonly #body = h("tbody");
  readonly #heads: HTMLTableCellElement[];
  readonly #range = h("p", { class: "range", role: "status" });
  readonly #back: HTMLButtonElement;
  readonly #next: HTMLButtonElement;
  readonly #scroll: HTMLElement;
  #page = 1;
  #shown = "";

  constructor(model: Model, go: Go) {
    this.#model = model;
    this.#go = go;
    this.#columns = columnsOf(model);
    const turn = (by: number): HTMLButtonElement =>
      h(
        "button",
        { type: "button", on: { click: () => go({ page: this.#page + by }) } },
        by < 0 ? "Previous page" : "Next page",
      );
    [this.#back, this.#next] = [turn(-1), turn(1)];
    this.#heads = this.#columns.map((column) => {
      const sort = (): void => this.#sort(column);
      const button = h("button", { type: "button", on: { click: sort } }, column.title);
      return h("th", { scope: "col", class: column.numeric ? "number" : "" }, button);
    });
    const table = h(
      "table",
      {},
      h("caption", {}, "Who calls whom"),
      h("thead", {}, h("tr", {}, ...this.#heads)),
      this.#body,
    );
    this.#scroll = h(
      "div",
      { class: "scroll", tabindex: 0, role: "region", "aria-label": "Table of connections" },
      table,
    );
    this.element.append(h("div", { class: "pager" }, this.#range, this.#back, this.#next), this.#scroll);
  }

  #current = "";

  #sort(column: Column): void {
    // Numbers and times are asked for to see the largest.
    const first = column.numeric || column.key === "last" || column.key === "first" ? `-${column.key}` : column.key;
    const second = first === column.key ? `-${column.key}` : column.key;
    this.#go({ sort: this.#current === first ? second : this.#current === second ? "" : first, page: 1 });
  }

  /** Shows a page of those pairs; `scope` says in words which they are. */
  render(pairs: readonly Pair[], scope: string, state: State): void {
    const key = JSON.stringify([scope, state.sort, state.page, state.pair]);
    if (key === this.#shown) return;
    const turned = this.#shown !== "" && this.#page !== state.page;
    this.#shown = key;
    this.#current = state.sort;
    const descending = state.sort.startsWith("-");
    const column = this.#columns.find((item) => item.key === state.sort.replace(/^-/, ""));
    const sorted = column ? [...pairs].sort((a, b) => (descending ? -1 : 1) * column.order(a, b)) : pairs;
    for (const [at, head] of this.#heads.entries()) {
      const sorting = column && this.#columns[at] === column;
      if (sorting) head.setAttribute("aria-sort", descending ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    }
    const pages = Math.max(1, Math.ceil(sorted.length / PAGE_ROWS));
    this.#page = Math.min(state.page, pages);
    const start = (this.#page - 1) * PAGE_ROWS;
    const rows = sorted.slice(start, start + PAGE_ROWS);
    const all = this.#model.pairs.length;
    const of = pairs.length === all ? plural(all, "pair") : `${number(pairs.length)} of ${plural(all, "pair")}`;
    this.#range.textContent = rows.length
      ? `Rows ${number(start + 1)}–${number(start + rows.length)} of ${of}${scope ? `: ${scope}` : ""}`
      : `No pair: ${scope || "the map is empty"}`;
    this.#back.disabled = this.#page === 1;
    this.#next.disabled = this.#page === pages;
    this.#body.replaceChildren(...rows.map((pair) => this.#row(pair, pair.key === state.pair)));
    if (turned) this.#scroll.scrollTo(0, 0);
  }

  #row(pair: Pair, selected: boolean): HTMLTableRowElement {
    const show = (): void => this.#go({ ...NOTHING, pair: pair.key });
    const cells = this.#columns.map((column, at) => {
      const text = column.text(pair);
      if (at === 0) {
        const name = `${text}, details`;
        const button = h(
          "button",
          { class: "link", type: "button", "aria-label": name, on: { click: show } },
          h("bdi", {}, text),
        );
        return h("th", { scope: "row" }, button);
      }
      return h("td", { class: column.numeric ? "number" : column.key }, at === 1 ? h("bdi", {}, text) : text);
    });
    return h("tr", { class: `${pair.outcome}${selected ? " selected" : ""}`, "data-pair": pair.index }, ...cells);
  }
}

// What is known about the selected thing: a pair with its ports and counters, a peer with its pairs, or the pairs that
// one line stands for. It can be read and used without the picture.

import { h } from "./dom.ts";
import { contents, type Group, type Model, type Pair, type Peer } from "./model.ts";
import type { State } from "./state.ts";
import { age, clean, number, plural, time } from "./text.ts";
import { counted, door, doors, MEANING, OUTCOMES, pairJson } from "./words.ts";

const ROWS = 50;

export type Go = (change: Partial<State>) => void;

/** What is selected instead of anything else. */
export const NOTHING: Partial<State> = { peer: "", pair: "", line: "" };

export class Panel {
  readonly element = h("aside", { class: "panel", "aria-label": "Details", hidden: true });
  readonly #model: Model;
  readonly #go: Go;
  readonly #say: (text: string) => void;
  #shown = "";

  constructor(model: Model, go: Go, say: (text: string) => void) {
    this.#model = model;
    this.#go = go;
    this.#say = say;
  }

  get width(): number {
    return this.element.hidden ? 0 : this.element.offsetWidth;
  }

  /** Shows what the state selects, or hides. */
  render(state: State): void {
    const key = JSON.stringify([state.pair, state.peer, state.line, state.focus]);
    if (key === this.#shown) return;
    this.#shown = key;
    const pair = this.#model.pairByKey.get(state.pair);
    const peer = this.#model.peerByKey.get(state.peer);
    const parts = pair ? this.#pair(pair) : peer ? this.#peer(peer, state) : state.line ? this.#line(state.line) : [];
    this.element.hidden = parts.length === 0;
    const close = h(
      "button",
      { class: "close", type: "button", "aria-label": "Close details", on: { click: () => this.#go(NOTHING) } },
      "×",
    );
    this.element.replaceChildren(...(parts.length ? [close, ...parts] : []));
    this.element.scrollTo(0, 0);
    if (parts.length) this.#say(`Details of ${parts[0]?.textContent ?? ""}`);
  }

  #ago(ms: number): string {
    const past = this.#model.document.generated_at - ms;
    return ms && past >= 0 ? `${time(ms)} (${age(past)} before this map)` : time(ms);
  }

  #link(peer: Peer): HTMLElement {
    if (peer.type === "ambiguous") return h("bdi", {}, peer.label);
    const show = (): void => this.#go({ ...NOTHING, peer: peer.key });
    return h("button", { class: "link", type: "button", on: { click: show } }, h("bdi", {}, peer.label));
  }

  #pair(pair: Pair): HTMLElement[] {
    const rows: [string, Node | string][] = [
      ["Outcome", h("span", { class: `outcome ${pair.outcome}` }, OUTCOMES[pair.outcome])],
      ...counted(pair.sums).map((counter): [string, string] => [
        counter[0]?.toUpperCase() + counter.slice(1),
        `${number(pair.sums[counter])} ${MEANING[counter]}`,
      ]),
      ["First seen", this.#ago(pair.first)],
      ["Last seen", this.#ago(pair.last)],
    ];
    const uncertain = [pair.client, pair.server].filter((end) => end.type === "ambiguous");
    return [
      h("h2", {}, this.#link(pair.client), h("span", { class: "arrow" }, " → "), this.#link(pair.server)),
      ...uncertain.map((end) =>
        h(
          "div",
          { class: "warning" },
          "It was one of these, not known which:",
          h(
            "ul",
            {},
            ...end.candidates.flatMap((at) => {
              const candidate = this.#model.peers[at];
              return candidate ? [h("li", {}, this.#link(candidate))] : [];
            }),
          ),
        ),
      ),
      h("dl", {}, ...rows.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)])),
      h("h3", {}, plural(pair.edges.length, "way in", "ways in")),
      ...pair.edges.map((edge) => {
        const typed = Object.entries(edge.details);
        return h(
          "section",
          { class: "door" },
          h(
            "h4",
            {},
            door(edge),
            edge.dialled &&
              h("span", {}, ` through service ${clean(edge.dialled.namespace)}/${clean(edge.dialled.name)}`),
          ),
          h(
            "p",
            {},
            counted(edge)
              .map((counter) => `${number(edge[counter])} ${MEANING[counter]}`)
              .join(", "),
          ),
          h("p", { class: "quiet" }, `${time(edge.first_seen)} – ${time(edge.last_seen)}`),
          typed.length > 0 &&
            h(
              "ul",
              { class: "typed" },
              ...typed.map(([name, values]) =>
                h("li", {}, h("code", {}, clean(name)), values.length > 0 && ` ${values.map(clean).join(", ")}`),
              ),
            ),
        );
      }),
      h(
        "button",
        { type: "button", on: { click: () => void this.#copy(pairJson(this.#model, pair)) } },
        "Copy as JSON",
      ),
    ];
  }

  #peer(peer: Peer, state: State): HTMLElement[] {
    const pairs = this.#model.pairsOf.get(peer.index) ?? [];
    const at = (end: Peer): boolean => end === peer || end.candidates.includes(peer.index);
    const calls = pairs.filter((pair) => at(pair.client));
    const called = pairs.filter((pair) => at(pair.server));
    const what = peer.type === "workload" ? peer.kind : peer.type;
    const focus = (): void => this.#go({ focus: state.focus === peer.key ? "" : peer.key, open: "" });
    return [
      h("h2", {}, h("bdi", {}, peer.label)),
      h("p", { class: "quiet" }, `${what}, ${plural(called.length, "caller")}, ${plural(calls.length, "callee")}`),
      h(
        "button",
        { type: "button", "aria-pressed": String(state.focus === peer.key), on: { click: focus } },
        state.focus === peer.key ? "Back to the whole map" : "Focus: only its callers and callees",
      ),
      ...this.#pairs("Called by", called, (pair) => pair.client),
      ...this.#pairs("Calls", calls, (pair) => pair.server),
    ];
  }

  #line(key: string): HTMLElement[] {
    let ends: unknown;
    try {
      ends = JSON.parse(key);
    } catch {
      return [];
    }
    if (!Array.isArray(ends)) return [];
    const [from, to] = ends.map((end) => this.#end(String(end)));
    if (!from || !to) return [];
    const links = this.#model.links.filter((link) => from.has(link.from) && to.has(link.to));
    const pairs = [...new Set(links.map((link) => link.pair))];
    return [
      h("h2", {}, h("bdi", {}, from.label), h("span", { class: "arrow" }, " → "), h("bdi", {}, to.label)),
      h("p", { class: "quiet" }, `One line for ${plural(pairs.length, "pair")}`),
      ...this.#pairs("", pairs, null),
    ];
  }

  /** One end of a line: a group or a peer, by its key. */
  #end(key: string): { label: string; has: (peer: Peer) => boolean } | null {
    const group: Group | undefined = this.#model.groups.get(key);
    if (group) {
      const { count, noun } = contents(group);
      return { label: `${group.title} (${plural(count, noun)})`, has: (peer) => peer.group === key };
    }
    const peer = this.#model.peerByKey.get(key);
    return peer ? { label: peer.label, has: (other) => other === peer } : null;
  }

  /** Pairs as buttons, a page at a time. */
  #pairs(title: string, pairs: readonly Pair[], other: ((pair: Pair) => Peer) | null): HTMLElement[] {
    if (!pairs.length) return [];
    const list = h("ul", { class: "pairs" });
    const row = (pair: Pair): HTMLElement => {
      const name = other ? other(pair).label : `${pair.client.label} → ${pair.server.label}`;
      const show = (): void => this.#go({ ...NOTHING, pair: pair.key });
      return h(
        "li",
        {},
        h(
          "button",
          { class: `pair ${pair.outcome}`, type: "button", on: { click: show } },
          h("bdi", {}, name),
          h("span", {}, pair.outcome === "observed" ? doors(pair) : `${doors(pair)} · ${OUTCOMES[pair.outcome]}`),
        ),
      );
    };
    const more = h("button", { type: "button", class: "more", on: { click: () => grow() } });
    const grow = (): void => {
      const shown = list.childElementCount;
      list.append(...pairs.slice(shown, shown + ROWS).map(row));
      const rest = pairs.length - list.childElementCount;
      more.hidden = rest === 0;
      more.textContent = `Show ${Math.min(ROWS, rest)} of ${number(rest)} more`;
    };
    grow();
    return [...(title ? [h("h3", {}, `${title} (${number(pairs.length)})`)] : []), list, more];
  }

  async #copy(text: string): Promise<void> {
    try {
      await navigator.clipboard.writeText(text);
      this.#say("Copied as JSON");
    } catch {
      // Some browsers keep the clipboard from files: the text is shown, selected, to be copied by hand.
      const area = h("textarea", { class: "copy", readonly: true, rows: 12, "aria-label": "JSON to copy" });
      area.value = text;
      this.element.append(area);
      area.focus();
      area.select();
      this.#say("The browser does not let a page copy; the JSON is selected, copy it with the keyboard");
    }
  }
}

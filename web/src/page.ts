// The page: reads the map that stands in it, and keeps picture, list, details and address the same.
//
// Every change goes the same way: it changes the state, the state is written to the address, and all parts are rendered
// from the state. So the browser's back button undoes, and a link shows what its sender saw.

import type { MapDocument } from "./document.ts";
import { h, measure, s } from "./dom.ts";
import { type Emphasis, Picture } from "./draw.ts";
import { groups } from "./groups.ts";
import { everything } from "./layers.ts";
import { type Model, makeModel, type Outcome, type Pair } from "./model.ts";
import { focused, opened } from "./neighbours.ts";
import { NOTHING, Panel } from "./panel.ts";
import { centre, fits, type Item, type Line, type Scene } from "./scene.ts";
import { type Found, search } from "./search.ts";
import { format, parse, type State, type Theme, type View } from "./state.ts";
import { Table } from "./table.ts";
import { number, plural, time } from "./text.ts";
import { Viewport } from "./viewport.ts";
import { foundWords, OUTCOMES } from "./words.ts";

/** Workloads up to which everything is one picture, and peers: a few workloads may call many names outside. */
const MOST_WORKLOADS = 20;
const MOST_PEERS = 40;
const RESULTS = 8;
const PAN = 80;

class Page {
  readonly #model: Model;
  readonly #viewport = new Viewport();
  readonly #panel: Panel;
  readonly #table: Table;
  readonly #live = h("p", { class: "hidden", role: "status" });
  readonly #count = h("p", { class: "count", role: "status" });
  readonly #results = h("ul", { class: "results", "aria-label": "Search results", hidden: true });
  readonly #field = h("input", {
    type: "search",
    id: "search",
    placeholder: "Search namespace, workload, port, name outside",
    "aria-label": "Search namespace, workload, port or external name; press / to come here",
    autocomplete: "off",
    spellcheck: "false",
  });
  readonly #crumbs = h("nav", { class: "crumbs", "aria-label": "What is shown" });
  readonly #note = h("p", { class: "note" });
  readonly #views = new Map<View, HTMLButtonElement>();
  readonly #theme = h("button", { type: "button", on: { click: () => this.#nextTheme() } });
  readonly #main = h("main");
  readonly #counts = h("li", { hidden: true }, "12 · 3 in · 5 out: workloads, callers, callees");
  readonly #legend: HTMLElement;
  #state: State = parse(location.hash);
  #picture: Picture | null = null;
  #sceneKey = "";
  #unfolded = new Set<string>();
  #found: Found | null = null;
  #groupsWithHits = new Set<string>();
  #query = "";
  #pointed = "";
  #roving = "";
  #revealed = "";

  constructor(map: MapDocument) {
    this.#model = makeModel(map);
    const go = (change: Partial<State>): void => this.go(change);
    this.#panel = new Panel(this.#model, go, (text) => this.#say(text));
    this.#table = new Table(this.#model, go);
    this.#legend = this.#makeLegend();
    this.#build(map);
    this.#listen();
    this.render();
  }

  /** Changes what is looked at. `replace` leaves no step for the back button. */
  go(change: Partial<State>, replace = false): void {
    // What another scope or search lists begins at its first page.
    const turns = "page" in change || "sort" in change;
    const scoped = "query" in change || "open" in change || "focus" in change;
    this.#state = { ...this.#state, ...(scoped && !turns ? { page: 1 } : {}), ...change };
    const address = format(this.#state);
    if (address !== location.hash && !(address === "#" && location.hash === "")) {
      try {
        if (replace) history.replaceState(null, "", address);
        else history.pushState(null, "", address);
      } catch {
        // Some browsers refuse after a hundred changes in half a minute; the view changes all the same.
      }
    }
    this.render();
  }

  #build(map: MapDocument): void {
    const { edges } = map;
    const title = map.title || "Network map";
    document.title = title;
    const peers = this.#model.peers.filter((peer) => peer.type === "external").length;
    const facts = [
      plural(this.#model.workloads, "workload"),
      plural([...this.#model.groups.values()].filter((group) => group.kind === "namespace").length, "namespace"),
      ...(peers ? [plural(peers, "name outside", "names outside")] : []),
      plural(this.#model.pairs.length, "pair"),
      plural(edges.length, "edge"),
    ];
    const seen = map.since || map.until ? `seen ${time(map.since)} – ${time(map.until || map.generated_at)}` : "";
    const since = map.watching_since ? `watched since ${time(map.watching_since)}` : "";
    const left = map.left_out ? `${plural(map.left_out, "other edge")} of the map not asked for` : "";
    const made = map.generated_at ? `as of ${time(map.generated_at)}` : "";
    const view = (name: View, label: string): HTMLButtonElement => {
      const button = h("button", { type: "button", on: { click: () => this.go({ view: name }) } }, label);
      this.#views.set(name, button);
      return button;
    };
    document.body.append(
      h(
        "header",
        {},
        h("div", { class: "name" }, h("h1", {}, title), h("p", {}, facts.join(" · "))),
        h("div", { class: "search", role: "search" }, this.#field, this.#count, this.#results),
        h(
          "div",
          { class: "views", role: "group", "aria-label": "View" },
          view("picture", "Picture"),
          view("both", "Both"),
          view("list", "List"),
        ),
        this.#theme,
      ),
      h("section", { class: "bar", "aria-label": "What is drawn" }, this.#crumbs, this.#note, this.#controls()),
      this.#main,
      h("footer", {}, this.#legend, h("p", { class: "times" }, [made, seen, since, left].filter(Boolean).join(" · "))),
      this.#live,
    );
    this.#main.append(this.#viewport.stage, this.#table.element, this.#panel.element);
  }

  #controls(): HTMLElement {
    const control = (label: string, sign: string, act: () => void): HTMLButtonElement =>
      h("button", { type: "button", "aria-label": label, title: label, on: { click: act } }, sign);
    return h(
      "div",
      { class: "controls", role: "group", "aria-label": "Zoom and move" },
      control("Zoom in", "+", () => this.#viewport.zoom(1.3)),
      control("Zoom out", "−", () => this.#viewport.zoom(1 / 1.3)),
      control("Fit", "⤢", () => this.#viewport.fit(this.#covered)),
      control("Move left", "←", () => this.#viewport.pan(PAN, 0)),
      control("Move up", "↑", () => this.#viewport.pan(0, PAN)),
      control("Move down", "↓", () => this.#viewport.pan(0, -PAN)),
      control("Move right", "→", () => this.#viewport.pan(-PAN, 0)),
    );
  }

  #makeLegend(): HTMLElement {
    const sample = (outcome: Outcome, uncertain: boolean, label: string): HTMLElement =>
      h(
        "li",
        {},
        s(
          "svg",
          { width: 46, height: 16, "aria-hidden": "true" },
          s(
            "g",
            { class: `line ${outcome}${uncertain ? " uncertain" : ""}` },
            s("path", { class: "stroke", d: "M2 8C14 8 30 8 42 8", "stroke-width": 1.6 }),
            s("path", { class: "head", d: "M36 4.5L43 8L36 11.5" }),
            uncertain && s("text", { x: 19, y: 13, "text-anchor": "middle" }, "?"),
          ),
        ),
        label,
      );
    const box = (look: string, label: string): HTMLElement =>
      h(
        "li",
        {},
        s(
          "svg",
          { width: 26, height: 16, "aria-hidden": "true" },
          s("g", { class: `item ${look}` }, s("rect", { x: 2, y: 2, width: 22, height: 12, rx: 3 })),
        ),
        label,
      );
    return h(
      "ul",
      { class: "legend", "aria-label": "Legend" },
      sample("observed", false, OUTCOMES.observed),
      sample("attempted", false, OUTCOMES.attempted),
      sample("lookup", false, OUTCOMES.lookup),
      sample("observed", true, "one of several"),
      box("workload", "workload"),
      box("service", "service, workload unknown"),
      box("external", "outside the cluster"),
      box("node", "node"),
      this.#counts,
    );
  }

  #listen(): void {
    window.addEventListener("hashchange", () => {
      this.#state = parse(location.hash);
      this.render();
    });
    window.addEventListener("resize", () => this.render());
    window.addEventListener("beforeprint", () => this.#viewport.fit());
    this.#field.addEventListener("input", () => this.go({ query: this.#field.value }, true));
    this.#field.addEventListener("keydown", (event) => this.#searchKey(event));
    this.#field.addEventListener("focus", () => this.#showResults());
    this.#results.addEventListener("keydown", (event) => this.#resultKey(event));
    document.addEventListener("focusin", (event) => {
      if (!(event.target as Element).closest?.(".search")) this.#results.hidden = true;
    });
    document.addEventListener("pointerdown", (event) => {
      if (!(event.target as Element).closest?.(".search")) this.#results.hidden = true;
    });
    document.addEventListener("keydown", (event) => this.#key(event));
    const { stage } = this.#viewport;
    stage.addEventListener("click", (event) => this.#click(event));
    stage.addEventListener("pointerover", (event) => this.#point(this.#itemOf(event)?.id ?? ""));
    stage.addEventListener("pointerleave", () => this.#point(""));
    stage.addEventListener("focusin", (event) => {
      const item = this.#itemOf(event);
      if (!item || !this.#picture) return;
      this.#roving = item.id;
      this.#picture.rove(item.id);
      this.#viewport.reveal(item, this.#covered);
      this.#point(item.id);
    });
    stage.addEventListener("focusout", () => this.#point(""));
  }

  // What is found ---------------------------------------------------------------------------------------------------

  #search(): void {
    if (this.#state.query === this.#query) return;
    this.#query = this.#state.query;
    this.#found = search(this.#model, this.#query);
    const found = this.#found;
    this.#groupsWithHits = new Set(found ? [...found.groups, ...found.best.map((peer) => peer.group)] : []);
    this.#count.textContent = found ? foundWords(found.peers.size, found.pairs.size) : "";
    this.#fillResults();
  }

  #fillResults(): void {
    const found = this.#found;
    const rows: HTMLElement[] = [];
    const row = (label: string, kind: string, act: () => void): void => {
      const button = h("button", { type: "button", on: { click: act } }, h("bdi", {}, label), h("span", {}, kind));
      rows.push(h("li", {}, button));
    };
    if (found) {
      for (const key of [...found.groups].slice(0, 3)) {
        const title = this.#model.groups.get(key)?.title ?? "";
        row(title, key.startsWith("namespace:") ? "namespace" : "group", () => this.#goToGroup(key));
      }
      for (const peer of found.best.slice(0, RESULTS - rows.length))
        row(peer.label, peer.type, () => this.#goToPeer(peer.key));
      if (!found.best.length) {
        for (const index of [...found.pairs].slice(0, RESULTS - rows.length)) {
          const pair = this.#model.pairs[index];
          if (pair)
            row(`${pair.client.label} → ${pair.server.label}`, "pair", () => this.go({ ...NOTHING, pair: pair.key }));
        }
      }
      const rest = found.groups.size + (found.best.length || found.pairs.size) - rows.length;
      if (rest > 0) row(`${number(rest)} more: show the list`, "", () => this.go({ view: "both" }));
      if (!rows.length) rows.push(h("li", { class: "none" }, "Nothing in this map has that name, port or protocol."));
    }
    this.#results.replaceChildren(...rows);
    this.#showResults();
  }

  #showResults(): void {
    this.#results.hidden = !this.#found || document.activeElement !== this.#field;
  }

  #goToGroup(key: string): void {
    this.#results.hidden = true;
    this.go({ ...NOTHING, open: key, focus: "", view: this.#state.view === "list" ? "both" : this.#state.view });
  }

  /** Selects a peer, and unfolds its namespace where the picture is folded. */
  #goToPeer(key: string): void {
    this.#results.hidden = true;
    const peer = this.#model.peerByKey.get(key);
    const open = this.#picture?.scene.kind === "everything" ? "" : (peer?.group ?? "");
    this.go({ ...NOTHING, peer: key, open, focus: "", view: this.#state.view === "list" ? "both" : this.#state.view });
  }

  #goToFirst(): void {
    const found = this.#found;
    if (!found) return;
    const [word] = found.words;
    const group = [...found.groups].find((key) => this.#model.groups.get(key)?.title.toLowerCase() === word);
    const [pair] = found.pairs;
    const first = found.best[0];
    if (group && found.words.length === 1) this.#goToGroup(group);
    else if (first) this.#goToPeer(first.key);
    else if (pair !== undefined) this.go({ ...NOTHING, pair: this.#model.pairs[pair]?.key ?? "" });
  }

  // Keys and clicks -------------------------------------------------------------------------------------------------

  #searchKey(event: KeyboardEvent): void {
    if (event.key === "Enter") this.#goToFirst();
    else if (event.key === "ArrowDown") this.#results.querySelector("button")?.focus();
    else if (event.key === "Escape") {
      if (this.#field.value) this.go({ query: "" }, true);
      else this.#field.blur();
    } else return;
    event.preventDefault();
    event.stopPropagation();
  }

  #resultKey(event: KeyboardEvent): void {
    if (event.key !== "ArrowDown" && event.key !== "ArrowUp" && event.key !== "Escape") return;
    event.preventDefault();
    event.stopPropagation();
    const all = [...this.#results.querySelectorAll("button")];
    const at = all.indexOf(document.activeElement as HTMLButtonElement) + (event.key === "ArrowUp" ? -1 : 1);
    if (event.key === "Escape" || at < 0) this.#field.focus();
    else all[Math.min(at, all.length - 1)]?.focus();
  }

  #key(event: KeyboardEvent): void {
    const target = event.target as Element;
    if (event.ctrlKey || event.metaKey || event.altKey || target.matches("input, textarea, select")) return;
    const inStage = this.#viewport.stage.contains(target);
    const pan: Record<string, [number, number]> = {
      ArrowLeft: [PAN, 0],
      ArrowRight: [-PAN, 0],
      ArrowUp: [0, PAN],
      ArrowDown: [0, -PAN],
    };
    const by = pan[event.key];
    if (event.key === "/") this.#field.select();
    else if (event.key === "Escape") this.#back();
    else if (event.key === "+" || event.key === "=") this.#viewport.zoom(1.3);
    else if (event.key === "-") this.#viewport.zoom(1 / 1.3);
    else if (event.key === "0") this.#viewport.fit(this.#covered);
    else if (by && inStage && event.shiftKey) this.#viewport.pan(...by);
    else if (by && target.closest(".item")) this.#step(Math.sign(-by[0]), Math.sign(-by[1]));
    else if ((event.key === "Enter" || event.key === " ") && target.closest(".item")) {
      const item = this.#itemOf(event);
      if (item) this.#act(item, event.key === "Enter");
    } else return;
    event.preventDefault();
  }

  /** Nearest first: the selection, then what is unfolded, then the search. */
  #back(): void {
    const { peer, pair, line, focus, open, query } = this.#state;
    if (peer || pair || line) this.go(NOTHING);
    else if (focus || open) this.go({ focus: "", open: "" });
    else if (query) this.go({ query: "" });
  }

  /** Moves the focus to the nearest item in a direction. */
  #step(dx: number, dy: number): void {
    const items = this.#picture?.scene.items ?? [];
    const from = items.find((item) => item.id === this.#roving);
    if (!from) return;
    const a = centre(from);
    let best: { item: Item; far: number } | null = null;
    for (const item of items) {
      const b = centre(item);
      const along = (b.x - a.x) * dx + (b.y - a.y) * dy;
      const aside = Math.abs((b.x - a.x) * dy) + Math.abs((b.y - a.y) * dx);
      const far = along + 3 * aside;
      if (along > 4 && aside < along * 3 + 4 && (!best || far < best.far)) best = { item, far };
    }
    if (best) this.#picture?.element(best.item.id)?.focus({ preventScroll: true });
  }

  #itemOf(event: Event): Item | null {
    const id = (event.target as Element).closest?.(".item")?.id;
    return this.#picture?.scene.items.find((item) => item.id === id) ?? null;
  }

  #click(event: MouseEvent): void {
    const target = event.target as Element;
    if (this.#viewport.dragged) return;
    const item = this.#itemOf(event);
    const line = target.closest("[data-line]")?.getAttribute("data-line");
    const open = target.closest("[data-open]")?.getAttribute("data-open");
    if (item) this.#act(item, event.detail > 1);
    else if (line) this.#selectLine(this.#picture?.scene.lines.find((other) => other.id === line));
    else if (open) this.#goToGroup(open);
    else if (this.#state.peer || this.#state.pair || this.#state.line) this.go(NOTHING);
  }

  /** A group unfolds. A peer is selected, and once selected `again` shows it alone with its neighbours. */
  #act(item: Item, again: boolean): void {
    const peer = item.peer === undefined ? null : this.#model.peers[item.peer];
    if (item.more) {
      this.#unfolded.add(item.more);
      this.render();
    } else if (peer) {
      if (again && this.#state.peer === peer.key && this.#state.focus !== peer.key)
        this.go({ focus: peer.key, open: "" });
      else this.go({ ...NOTHING, peer: peer.key });
    } else if (item.group) this.#goToGroup(item.group);
  }

  #selectLine(line: Line | undefined): void {
    if (!line) return;
    const [only] = line.pairs;
    if (line.pairs.length === 1 && only) {
      this.go({ ...NOTHING, pair: only.key });
      return;
    }
    if (this.#picture) this.go({ ...NOTHING, line: this.#lineKey(this.#picture.scene, line) });
  }

  #point(id: string): void {
    if (id === this.#pointed) return;
    this.#pointed = id;
    this.#mark();
  }

  #nextTheme(): void {
    const next: Record<Theme, Theme> = { system: "light", light: "dark", dark: "system" };
    this.go({ theme: next[this.#state.theme] }, true);
  }

  #say(text: string): void {
    this.#live.textContent = text;
  }

  // Rendering -------------------------------------------------------------------------------------------------------

  render(): void {
    const state = this.#state;
    if (state.theme === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = state.theme;
    this.#theme.textContent = `Theme: ${state.theme}`;
    this.#main.className = `view-${state.view}`;
    this.#viewport.stage.hidden = state.view === "list";
    this.#table.element.hidden = state.view === "picture";
    for (const [name, button] of this.#views) button.setAttribute("aria-pressed", String(name === state.view));
    if (this.#field.value !== state.query) this.#field.value = state.query;
    this.#search();
    this.#panel.render(state);
    if (state.view !== "list") this.#draw();
    this.#mark();
    this.#reveal();
    this.#renderCrumbs();
    if (state.view !== "picture") this.#renderList();
  }

  #scene(): Scene {
    const { open, focus, lines } = this.#state;
    const stage = this.#viewport.size;
    const peer = this.#model.peerByKey.get(focus);
    if (peer) return focused(this.#model, peer, this.#unfolded, measure, stage);
    const group = this.#model.groups.get(open);
    if (group) return opened(this.#model, group, measure, stage, lines === "all");
    const drawn = this.#model.peers.filter((item) => item.type !== "ambiguous").length;
    if (drawn > 0 && this.#model.workloads <= MOST_WORKLOADS && drawn <= MOST_PEERS) {
      const whole = everything(this.#model, measure).find((scene) => fits(scene, stage));
      if (whole) return whole;
    }
    return groups(this.#model, measure, stage, lines === "all");
  }

  /** What the details cover of the picture: beside a list they lie over that. */
  get #covered(): number {
    const covered = this.#panel.width + 16;
    return this.#panel.width && this.#state.view === "picture" && covered < this.#viewport.size.width / 2 ? covered : 0;
  }

  #draw(again = true): void {
    const { open, focus, lines } = this.#state;
    const { width, height } = this.#viewport.size;
    const key = JSON.stringify([open, focus, lines, width, height, this.#unfolded.size]);
    if (key === this.#sceneKey) return;
    this.#sceneKey = key;
    const focusWithin = this.#viewport.stage.contains(document.activeElement?.closest(".picture") ?? null);
    const scene = this.#scene();
    this.#picture = new Picture(scene, this.#model);
    this.#pointed = "";
    this.#viewport.show(this.#picture.svg, scene, this.#covered);
    const known = scene.items.find((item) => item.id === this.#roving);
    const selected = scene.items.find((item) => item.peer === this.#model.peerByKey.get(this.#state.peer)?.index);
    this.#roving = (known ?? selected ?? scene.items[0])?.id ?? "";
    this.#picture.rove(this.#roving);
    if (focusWithin) this.#picture.element(this.#roving)?.focus({ preventScroll: true });
    this.#counts.hidden = scene.kind !== "groups";
    this.#renderNote(scene);
    // What is said about the picture may take room from it.
    if (again) this.#draw(false);
  }

  #renderNote(scene: Scene): void {
    const { lines } = this.#state;
    const parts: (Node | string)[] = [];
    if (scene.items.length === 0) parts.push("This map is empty.");
    if (scene.notes.length) parts.push(scene.notes.join(" "));
    if (this.#viewport.cut(this.#covered)) parts.push(" Larger than the window: drag, or zoom out.");
    if (scene.thinned) {
      const button = h(
        "button",
        { type: "button", on: { click: () => this.go({ lines: lines === "all" ? "few" : "all" }) } },
        lines === "all" ? "Draw fewer lines" : "Draw all lines",
      );
      parts.push(" ", button);
    }
    this.#note.replaceChildren(...parts);
  }

  /** Marks what is pointed at, else what is selected, else what was found. */
  #mark(): void {
    const picture = this.#picture;
    if (!picture) return;
    const state = this.#state;
    const selected = new Set<string>();
    const peer = this.#model.peerByKey.get(state.peer);
    for (const item of picture.scene.items) {
      if (peer && item.peer === peer.index) selected.add(item.id);
    }
    const chosen = this.#chosenLines(picture.scene);
    const found = this.#found ? picture.found(this.#found, this.#groupsWithHits) : null;
    let emphasis: Emphasis | null = null;
    const alone =
      picture.scene.kind === "focus" && this.#pointed === `p${this.#model.peerByKey.get(state.focus)?.index}`;
    if (this.#pointed && !alone) emphasis = picture.around([this.#pointed]);
    else if (chosen.length) {
      const items = new Set(chosen.flatMap((line) => [line.from, line.to]));
      emphasis = { items, lines: new Set(chosen.map((line) => line.id)) };
    } else if (selected.size && picture.scene.kind !== "focus") emphasis = picture.around(selected);
    else if (found) emphasis = found.emphasis;
    picture.mark(emphasis, new Set([...selected, ...chosen.map((line) => line.id)]), found?.hits ?? null);
  }

  /** Brings what is newly selected out from below the details. */
  #reveal(): void {
    const { peer, pair, line } = this.#state;
    const key = peer + pair + line;
    if (key === this.#revealed || !this.#picture) return;
    this.#revealed = key;
    const { items } = this.#picture.scene;
    const index = this.#model.peerByKey.get(peer)?.index;
    const ids = new Set(this.#chosenLines(this.#picture.scene).flatMap((chosen) => [chosen.from, chosen.to]));
    const wanted = items.filter((item) => ids.has(item.id) || (index !== undefined && item.peer === index));
    if (!wanted.length) return;
    const x = Math.min(...wanted.map((item) => item.x));
    const y = Math.min(...wanted.map((item) => item.y));
    const w = Math.max(...wanted.map((item) => item.x + item.w)) - x;
    const h = Math.max(...wanted.map((item) => item.y + item.h)) - y;
    this.#viewport.reveal({ x, y, w, h }, this.#covered);
  }

  #chosenLines(scene: Scene): Line[] {
    const { pair: key, line } = this.#state;
    const pair = this.#model.pairByKey.get(key);
    if (pair) return scene.lines.filter((other) => other.pairs.includes(pair));
    if (!line) return [];
    return scene.lines.filter((other) => other.id === line || this.#lineKey(scene, other) === line);
  }

  #lineKey(scene: Scene, line: Line): string {
    const key = (id: string): string => {
      const item = scene.items.find((other) => other.id === id);
      if (item?.peer !== undefined) return this.#model.peers[item.peer]?.key ?? "";
      return item?.group ?? item?.more?.slice(1) ?? this.#state.open;
    };
    return JSON.stringify([key(line.from), key(line.to)]);
  }

  #renderCrumbs(): void {
    const { open, focus } = this.#state;
    const peer = this.#model.peerByKey.get(focus);
    const group = this.#model.groups.get(peer ? peer.group : open);
    const step = (label: string, change: Partial<State>, here: boolean): HTMLElement =>
      here
        ? h("span", { "aria-current": "page" }, h("bdi", {}, label))
        : h("button", { class: "link", type: "button", on: { click: () => this.go(change) } }, h("bdi", {}, label));
    const parts: (HTMLElement | string)[] = [step("Whole map", { open: "", focus: "", ...NOTHING }, !group && !peer)];
    if (group) parts.push(" › ", step(group.title, { open: group.key, focus: "", ...NOTHING }, !peer));
    if (peer) parts.push(" › ", step(peer.title, {}, true));
    const focused = document.activeElement;
    if (focused && this.#crumbs.contains(focused))
      this.#viewport.stage.querySelector<SVGGElement>('.item[tabindex="0"]')?.focus();
    this.#crumbs.replaceChildren(...parts);
  }

  #renderList(): void {
    const { open, focus, query } = this.#state;
    const peer = this.#model.peerByKey.get(focus);
    const group = this.#model.groups.get(open);
    let pairs: readonly Pair[] = this.#model.pairs;
    const scope: string[] = [];
    if (peer) {
      pairs = this.#model.pairsOf.get(peer.index) ?? [];
      scope.push(`callers and callees of ${peer.label}`);
    } else if (group) {
      const touching = new Set(this.#model.links.filter((link) => link.from.group === open || link.to.group === open));
      const shown = new Set([...touching].map((link) => link.pair));
      pairs = pairs.filter((pair) => shown.has(pair));
      scope.push(`to or from ${group.title}`);
    }
    const found = this.#found;
    if (found) {
      pairs = pairs.filter((pair) => found.pairs.has(pair.index));
      scope.push(`search “${query}”`);
    }
    this.#table.render(pairs, scope.join(", "), this.#state);
  }
}

const data = document.getElementById("map")?.textContent;
if (data) {
  document.documentElement.lang = "en";
  new Page(JSON.parse(data) as MapDocument);
}

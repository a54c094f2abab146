// Elements without markup: names are only ever set as text, so none of them can become an element or a script.

type Child = Node | string | null | undefined | false;
type Value = string | number | boolean | undefined;

interface Options {
  readonly [attribute: string]: Value | Readonly<Record<string, (event: never) => void>>;
  readonly on?: Readonly<Record<string, (event: never) => void>>;
}

function fill<T extends Element>(element: T, options: Options, children: readonly Child[]): T {
  for (const [name, value] of Object.entries(options)) {
    if (name === "on" || value === undefined || value === false || typeof value === "object") continue;
    element.setAttribute(name, value === true ? "" : String(value));
  }
  for (const [event, listener] of Object.entries(options.on ?? {})) {
    element.addEventListener(event, listener as EventListener);
  }
  for (const child of children) if (child) element.append(child);
  return element;
}

/** An HTML element. `undefined` and `false` attributes are left out. */
export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  options: Options = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  return fill(document.createElement(tag), options, children);
}

/** An SVG element. */
export function s<K extends keyof SVGElementTagNameMap>(
  tag: K,
  options: Options = {},
  ...children: Child[]
): SVGElementTagNameMap[K] {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), options, children);
}

let canvas: CanvasRenderingContext2D | null = null;

/** Width of a text in the page's font. */
export function measure(text: string, size: number, bold = false): number {
  canvas ??= document.createElement("canvas").getContext("2d");
  if (!canvas) return text.length * size * 0.6;
  canvas.font = `${bold ? "600 " : ""}${size}px ${getComputedStyle(document.body).fontFamily}`;
  return canvas.measureText(text).width;
}

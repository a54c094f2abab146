// Names, numbers and times as people read them.

const UNPRINTABLE = /[\p{C}\p{Zl}\p{Zp}]|(?! )\p{Zs}/gu;

/** A name with every character that does not print written as an escape: none may turn a line around or hide. */
export function clean(name: string): string {
  return name.replace(UNPRINTABLE, (character) => {
    const code = character.codePointAt(0) ?? 0;
    if (code < 0x100) return `\\x${code.toString(16).padStart(2, "0")}`;
    return code < 0x10000 ? `\\u${code.toString(16).padStart(4, "0")}` : `\\U${code.toString(16).padStart(8, "0")}`;
  });
}

/** A long name with its middle left out; both ends tell names apart. */
export function shorten(name: string, most: number): string {
  const characters = [...name];
  if (characters.length <= most) return name;
  const tail = Math.floor((most - 1) / 2);
  return `${characters.slice(0, most - 1 - tail).join("")}…${characters.slice(-tail).join("")}`;
}

export function number(value: number): string {
  return value.toString().replace(/\B(?=(\d{3})+$)/g, ",");
}

export function plural(count: number, noun: string, many = `${noun}s`): string {
  return `${number(count)} ${count === 1 ? noun : many}`;
}

/** `2027-01-15 08:00:00 UTC`; "never" for 0. */
export function time(ms: number): string {
  return ms ? `${new Date(ms).toISOString().slice(0, 19).replace("T", " ")} UTC` : "never";
}

/** RFC 3339, null for 0, as in the documents of `list -o json`. */
export function rfc3339(ms: number): string | null {
  return ms ? new Date(ms).toISOString() : null;
}

const STEPS: readonly [number, string][] = [
  [86_400_000, "d"],
  [3_600_000, "h"],
  [60_000, "m"],
  [1_000, "s"],
];

/** A span in its largest unit, as in `kubectl get`. */
export function age(ms: number): string {
  for (const [step, unit] of STEPS) if (ms >= step) return `${Math.floor(ms / step)}${unit}`;
  return "0s";
}

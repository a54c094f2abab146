// Builds the page's script and style sheet into the Python package, or with --tests builds the tests and runs them.
//
// The built files are committed, so that whoever installs the package needs no Node; a test builds them again and
// compares. That is why nothing here depends on the time or the machine.
import { spawnSync } from "node:child_process";
import { readdirSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));

if (process.argv.includes("--tests")) {
  rmSync(join(here, ".tests"), { recursive: true, force: true });
  const tests = readdirSync(join(here, "tests")).filter((name) => name.endsWith(".test.ts"));
  await build({
    absWorkingDir: here,
    entryPoints: tests.map((name) => `tests/${name}`),
    outdir: ".tests",
    bundle: true,
    platform: "node",
    format: "esm",
    outExtension: { ".js": ".mjs" },
  });
  const built = tests.map((name) => join(here, ".tests", name.replace(/\.ts$/, ".mjs")));
  process.exit(spawnSync(process.execPath, ["--test", ...built], { stdio: "inherit" }).status ?? 1);
} else {
  const at = process.argv.indexOf("--outdir");
  await build({
    absWorkingDir: here,
    entryPoints: { page: "src/page.ts", style: "src/style.css" },
    outdir: at > 0 ? process.argv[at + 1] : "../src/network_mapper/export/page/assets",
    bundle: true,
    minify: true,
    target: ["chrome111", "firefox115", "safari16.4"],
    format: "iife",
    charset: "ascii",
    legalComments: "none",
  });
}

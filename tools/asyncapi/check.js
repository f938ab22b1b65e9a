// Holds AsyncAPI documents against the standard, by its own parser: node check.js FILE…
// Prints what is wrong, a line a problem; ends with 1 if anything is.
import { readFile } from "node:fs/promises";
import parserModule from "@asyncapi/parser";

const { Parser, DiagnosticSeverity } = parserModule;

let isWrong = false;
for (const file of process.argv.slice(2)) {
  const { document, diagnostics } = await new Parser().parse(await readFile(file, "utf8"), { source: file });
  const errors = diagnostics.filter((each) => each.severity === (DiagnosticSeverity?.Error ?? 0));
  for (const each of errors) console.log(`${file}#/${each.path.join("/")}: ${each.message}`);
  if (errors.length > 0) isWrong = true;
  else if (document === undefined) {
    console.log(`${file}: no document`);
    isWrong = true;
  } else console.log(`${file}: AsyncAPI ${document.version()}, ${document.channels().all().length} channels`);
}
process.exitCode = isWrong ? 1 : 0;

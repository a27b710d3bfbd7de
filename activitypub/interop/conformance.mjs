// Runs tests of the package activitypub-testing by slug. Standard input is JSON: [{slug, inputs}]; of the inputs a test gets those
// that it asks for. Standard output is JSON: every slug that the package has, and what came out, in the order of the question.
import { activityPubTestCases as cases } from "activitypub-testing/test-cases";
import "./localhost.mjs";

let asked = "";
for await (const part of process.stdin) asked += part;

const results = [];
for (const { slug, inputs } of JSON.parse(asked)) {
  const test = cases.select({ slug });
  if (!test) throw new Error(`the package has no test ${slug}`);
  const wanted = Object.entries(inputs).filter(([name]) => name in test.input);
  let result;
  try {
    result = await test.run(Object.fromEntries(wanted));
  } catch (error) {
    result = { outcome: "cantTell", info: error?.stack ?? String(error) };
  }
  results.push({ slug, outcome: result.outcome, info: result.info ?? "" });
}
process.stdout.write(JSON.stringify({ slugs: [...cases].map((t) => t.slug), results }));

// Holds the document at /api/openapi.json to the schema of OpenAPI, by a validator that knows nothing of this node.
import { Validator } from "@seriousme/openapi-schema-validator";

const [origin] = process.argv.slice(2);
const document = await (await fetch(`${origin}/api/openapi.json`)).json();
const validator = new Validator();
const { valid, errors } = await validator.validate(document);
if (!valid || validator.version !== "3.1") {
  console.error(validator.version, JSON.stringify(errors, null, 1));
  process.exit(1);
}
console.log(Object.keys(document.paths).length, "paths OK");

// The curl command that uploads the same picture, to paste into a shell.

import * as apiKey from "./api_key.js";
import { UPLOAD } from "./service.js";

export function curlCommand({ name }) {
  // Without the double quotes, curl would end the name at a comma or semicolon.
  const form = `image=@"${name.replace(/["\\]/g, "\\$&")}"`;
  // Only a variable, because commands are stored and shared.
  const key = apiKey.current() ? ['-H "X-API-Key: $API_KEY"'] : [];
  return ["curl", ...key, "-F", quoted(form), quoted(UPLOAD)].join(" ");
}

// As one word of a POSIX shell.
function quoted(text) {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

// The curl command that uploads the same picture and gets as many labels as the page shows, to paste into a shell.

import * as apiKey from "./api_key.js";
import { UPLOAD } from "./service.js";

export function curlCommand({ name }, top) {
  // Without the double quotes, curl would end the name at a comma or semicolon.
  const form = `image=@"${name.replace(/["\\]/g, "\\$&")}"`;
  // Only a variable, because commands are stored and shared.
  const key = apiKey.current() ? ['-H "X-API-Key: $API_KEY"'] : [];
  return ["curl", ...key, "-F", quoted(form), quoted(`${UPLOAD}?top=${top}`)].join(" ");
}

// As one word of a POSIX shell.
function quoted(text) {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

// The curl command that uploads the same picture and gets as many labels as the page shows, to paste into a shell.

import * as apiKey from "./api_key.js";
import { UPLOAD } from "./service.js";

// Names without a meaning for shells or curl.
const PLAIN = /^[\w.-]+$/;

export function curlCommand({ name }, top) {
  // Without the double quotes, curl would end other names at a comma or semicolon.
  const form = PLAIN.test(name) ? `image=@${name}` : quoted(`image=@"${name.replace(/["\\]/g, "\\$&")}"`);
  // Only a variable, because commands are stored and shared.
  const key = apiKey.current() || apiKey.REQUIRED ? ['-H "X-API-Key: $API_KEY"'] : [];
  return ["curl", ...key, "-F", form, quoted(`${UPLOAD}?top=${top}`)].join(" ");
}

// As one word of a POSIX shell.
function quoted(text) {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

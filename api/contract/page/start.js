// A file of its own: inline scripts are forbidden by the service's Content-Security-Policy.
const isDelete = (operation) => Number(operation.get("method") === "delete");

SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  validatorUrl: "none",
  // Otherwise in the order of the document, which is alphabetical within a path.
  operationsSorter: (one, other) => isDelete(one) - isDelete(other),
});

// A file of its own: inline scripts are forbidden by the service's Content-Security-Policy.
const viewer = document.querySelector("rapi-doc");
const isDelete = (operation) => Number(operation.method === "delete");

// Without keys there is nothing to authenticate with.
viewer.addEventListener("before-render", ({ detail }) => {
  viewer.allowAuthentication = String("securitySchemes" in detail.spec.components);
});

// Otherwise deletions stand in the middle: RapiDoc sorts by path, then method.
viewer.addEventListener("spec-loaded", () => {
  for (const tag of viewer.resolvedSpec.tags) tag.paths.sort((one, other) => isDelete(one) - isDelete(other));
  viewer.requestUpdate();
});

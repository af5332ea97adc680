// RapiDoc's templates have style attributes, which the service's Content-Security-Policy forbids, and fields without a
// label. Scripts may set styles, so the attributes get another name before the browser sees them, and their styles are set here.
const { innerHTML } = Object.getOwnPropertyDescriptors(Element.prototype);
const { setAttribute } = Element.prototype;
const { importNode } = Document.prototype;

Object.defineProperty(HTMLTemplateElement.prototype, "innerHTML", {
  ...innerHTML,
  set(html) {
    innerHTML.set.call(this, String(html).replaceAll(/\sstyle=(?=["'])/g, " data-style="));
  },
});

Document.prototype.importNode = function (...given) {
  const copy = importNode.apply(this, given);
  for (const element of copy.querySelectorAll("[data-style]")) element.style.cssText = element.dataset.style;
  for (const select of copy.querySelectorAll("select:not([aria-label])")) select.ariaLabel = "Variant";
  return copy;
};

// Attributes whose value changes are set one by one.
Element.prototype.setAttribute = function (name, value) {
  if (name === "style") this.style.cssText = value;
  else setAttribute.call(this, name, value);
  if (name === "data-pname") this.ariaLabel = value;
};

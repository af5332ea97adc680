// A file of its own: inline scripts are forbidden by the service's Content-Security-Policy.
SwaggerUIBundle({ url: "openapi.json", dom_id: "#swagger-ui", deepLinking: true, validatorUrl: "none" });

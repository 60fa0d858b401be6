// Draws the OpenAPI document with Swagger UI, inside a page of ours: it needs no style in place and no script inline.
(() => {
  "use strict";
  const place = document.getElementById("calls-drawn");
  const root = document.documentElement;
  const system = window.matchMedia("(prefers-color-scheme: dark)");

  // Swagger UI knows a dark look by a class.
  const colour = () => {
    const isDark = root.dataset.theme ? root.dataset.theme === "dark" : system.matches;
    root.classList.toggle("dark-mode", isDark);
  };
  colour();
  system.addEventListener("change", colour);
  new MutationObserver(colour).observe(root, { attributeFilter: ["data-theme"] });

  // The title stands on the page, which has a main part; and a link within a button is for no keyboard and no reader.
  const ours = ({ React, getComponent }) => ({
    components: {
      Calls: () => React.createElement("div", { className: "swagger-ui" },
        React.createElement(getComponent("AuthorizeBtnContainer", true)),
        React.createElement(getComponent("operations", true))),
    },
    wrapComponents: { DeepLink: () => ({ text }) => React.createElement("span", null, text) },
  });

  window.SwaggerUIBundle({
    url: place.dataset.schema,
    domNode: place,
    presets: [window.SwaggerUIBundle.presets.apis],
    plugins: [ours],
    layout: "Calls",
    docExpansion: "none",
    tagsSorter: "alpha",
    defaultModelsExpandDepth: -1,
    validatorUrl: null,
    requestInterceptor: (request) => {
      if (request.method && request.method !== "GET" && new URL(request.url, window.location).origin === window.location.origin) {
        request.headers["X-CSRFToken"] = place.dataset.csrf;
      }
      return request;
    },
  });
})();

// The visitor's choice between light and dark. In the head and at once, so that no page flashes in the other colours;
// without it (or without storage) pages follow the system, and the switch stays hidden.
(() => {
  "use strict";
  const KEY = "theme";
  const root = document.documentElement;
  const system = window.matchMedia("(prefers-color-scheme: dark)");

  const stored = () => {
    try {
      const value = window.localStorage.getItem(KEY);
      return value === "light" || value === "dark" ? value : null;
    } catch {
      return null;
    }
  };

  const keep = (value) => {
    try {
      if (value === null) window.localStorage.removeItem(KEY);
      else window.localStorage.setItem(KEY, value);
    } catch {
      // Private windows may refuse; the choice then holds for this page.
    }
  };

  const show = (value) => {
    if (value === null) delete root.dataset.theme;
    else root.dataset.theme = value;
  };

  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : system.matches);

  show(stored());
  // Another tab of ours switched.
  window.addEventListener("storage", (event) => {
    if (event.key === KEY) show(stored());
  });

  document.addEventListener("DOMContentLoaded", () => {
    for (const button of document.querySelectorAll("button[data-theme-switch]")) {
      const tell = () => button.setAttribute("aria-pressed", String(isDark()));
      button.hidden = false;
      tell();
      button.addEventListener("click", () => {
        const wanted = isDark() ? "light" : "dark";
        // What the system says anyway need not be kept: then the page goes on following it.
        const choice = (wanted === "dark") === system.matches ? null : wanted;
        keep(choice);
        show(choice);
        tell();
      });
      system.addEventListener("change", tell);
    }
  });
})();

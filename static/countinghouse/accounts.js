// The browser knows the visitor's time zone: it is chosen beforehand where nothing else was.
(function () {
  "use strict";
  const select = document.getElementById("id_zone");
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (select && select.value === "UTC" && Array.from(select.options).some((option) => option.value === zone)) {
    select.value = zone;
  }
})();

// A form whose answer is shown once is sent once, however often it is clicked.
document.querySelectorAll("form[data-once]").forEach(function (form) {
  "use strict";
  form.addEventListener("submit", function () {
    form.querySelectorAll("button").forEach(function (button) {
      button.disabled = true;
    });
  });
});

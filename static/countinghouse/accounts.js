// The browser knows the visitor's time zone: it is chosen beforehand where nothing else was.
(function () {
  "use strict";
  const select = document.getElementById("id_zone");
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (select && select.value === "UTC" && Array.from(select.options).some((option) => option.value === zone)) {
    select.value = zone;
  }
})();

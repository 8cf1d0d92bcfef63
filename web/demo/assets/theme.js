// Runs before the first paint, so that the chosen theme does not flash.
try {
  const theme = localStorage.getItem('tallycast:theme');
  if (theme) document.documentElement.dataset.theme = theme;
} catch {
  // Storage is refused: the system's colours apply.
}

// Keeps all files of this page, so that it works offline once it was loaded.

const FILES = self.pageFiles;

self.addEventListener("install", (event) => {
  event.waitUntil(caches.open(FILES.version).then((cache) => cache.addAll(FILES.names)).then(() => self.skipWaiting()));
});

self.addEventListener("activate", (event) => {
  event.waitUntil(dropOthers().then(() => self.clients.claim()));
});

async function dropOthers() {
  const names = await caches.keys();
  await Promise.all(names.filter((name) => name.startsWith("asrkit-") && name !== FILES.version)
    .map((name) => caches.delete(name)));
}

self.addEventListener("fetch", (event) => {
  event.respondWith(caches.match(event.request, { ignoreSearch: true }).then((kept) => kept || fetch(event.request)));
});

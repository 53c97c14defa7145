// The take in the browser's database: which prompt it is of, and its samples in pieces, so that a reload loses nothing.

import { joinChunks } from "./take.js";

const DATABASE = "asrkit-recorder", VERSION = 1;
const KEY = "now"; // there is one take at a time

function openDatabase() {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(DATABASE, VERSION);
    request.onupgradeneeded = () => {
      request.result.createObjectStore("take");
      request.result.createObjectStore("pieces", { autoIncrement: true });
    };
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

export class TakeStorage {
  constructor() {
    this.isWorking = true; // whether this browser keeps takes at all
    this.unwritten = []; // chunks of samples that are not in the database yet
    this.database = openDatabase();
    this.database.catch((error) => this.fail(error));
  }

  fail(error) {
    if (this.isWorking) console.warn("asrkit: takes are not kept in this browser", error);
    this.isWorking = false;
  }

  /** Run `work(take, pieces)` in a transaction; -> the results of the requests that it returns, or null. */
  async transact(work) {
    try {
      const transaction = (await this.database).transaction(["take", "pieces"], "readwrite");
      const requests = work(transaction.objectStore("take"), transaction.objectStore("pieces"));
      await new Promise((resolve, reject) => {
        transaction.oncomplete = resolve;
        transaction.onabort = transaction.onerror = () => reject(transaction.error);
      });
      return requests ? requests.map((request) => request.result) : null;
    } catch (error) {
      this.fail(error);
      return null;
    }
  }

  /** Start a take in place of the one before. */
  start(take) {
    this.unwritten = [];
    this.transact((store, pieces) => {
      pieces.clear();
      store.put(take, KEY);
    });
  }

  clear() {
    this.unwritten = [];
    this.transact((store, pieces) => {
      pieces.clear();
      store.clear();
    });
  }

  /** Keep samples, which are written once there are so many of them. */
  add(samples, writeFrom) {
    this.unwritten.push(samples);
    if (this.unwritten.reduce((sum, chunk) => sum + chunk.length, 0) > writeFrom) this.flush();
  }

  flush() {
    if (!this.unwritten.length) return;
    const piece = joinChunks(this.unwritten);
    this.unwritten = [];
    this.transact((_, pieces) => {
      pieces.add(piece);
    });
  }

  /** -> {take, samples} of the last take, or null. */
  async load() {
    const [take, pieces] = (await this.transact((store, kept) => [store.get(KEY), kept.getAll()])) ?? [];
    return take && pieces.length ? { take, samples: joinChunks(pieces) } : null;
  }
}

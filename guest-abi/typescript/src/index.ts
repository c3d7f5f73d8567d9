// What an extension imports.

export { createHost } from "./host.js";
export { emptyResponse, headerOf, jsonOf, jsonResponse, pathOf, textOf, textResponse, triggerOf } from "./response.js";
export { Router } from "./router.js";
export * from "./types.js";

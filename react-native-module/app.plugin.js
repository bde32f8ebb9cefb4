import plugin from './plugin/build/index.js';

// CommonJS: Expo may compile this file, and then `require` what it imports, which of a module fails while it loads.
export default plugin.default ?? plugin;

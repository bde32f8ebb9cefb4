const { join, resolve } = require('node:path');

const { getDefaultConfig } = require('expo/metro-config');

const library = resolve(__dirname, '..');
const escaped = (path) => path.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');

const config = getDefaultConfig(__dirname);

// The library beside the app, from its sources; React and React Native are the app's own, once.
config.watchFolders = [library];
config.resolver.nodeModulesPaths = [join(__dirname, 'node_modules'), join(library, 'node_modules')];
config.resolver.extraNodeModules = { 'expo-syncline': library };
config.resolver.blockList = [config.resolver.blockList ?? []]
  .flat()
  .concat(
    ['react', 'react-native', 'expo', 'expo-modules-core'].map(
      (name) => new RegExp(`^${escaped(join(library, 'node_modules', name))}/.*$`),
    ),
  );

module.exports = config;

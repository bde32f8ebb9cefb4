// What jest-expo takes for the native module `Syncline`.
import { nativeModule } from '../build/testing/native-module.js';

export const { open, call, closeAll, defaultDirectory, isBackgroundPermitted, setLogSink, addListener } =
  nativeModule;

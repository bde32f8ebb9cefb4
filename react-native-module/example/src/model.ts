/** What this app has in its rooms; every hook infers from it. */
declare module 'expo-syncline' {
  interface Register {
    collections: {
      activities: Activity;
      messages: Message;
      notes: Note;
      userData: Stats;
    };
    rooms: typeof FEED | typeof LOBBY | typeof NOTES | `user:${string}`;
  }
}

export interface Activity {
  author: string;
  text: string;
  at: number;
  likes: number;
}

export interface Message {
  from: string;
  text: string;
  at: number;
}

export interface Note {
  title: string;
  body: string;
}

export interface Stats {
  xp: number;
  hearts: number;
}

export const FEED = 'feed';
export const LOBBY = 'chat:lobby';
export const NOTES = 'notes';

export const HEARTS_FULL = 5;

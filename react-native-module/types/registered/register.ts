// What an app declares once.
export interface Task {
  title: string;
  done: boolean;
  votes?: number;
}

export interface Message {
  id: string;
  text: string;
}

declare module 'expo-syncline' {
  interface Register {
    listenEvents: {
      'message:new': (message: Message) => void;
      'activity:deleted': (gone: { activityId: string }) => void;
    };
    emitEvents: {
      'message:send': (text: string, answer: (sent: { id: string }) => void) => void;
      'typing:start': (typing: { chatId: string }) => void;
    };
    collections: { tasks: Task; players: { name: string } };
    rooms: `list:${string}` | `user:${string}`;
  }
}

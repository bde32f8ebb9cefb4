package android.content;

import java.io.File;

public abstract class Context {
  public abstract Context getApplicationContext();

  public abstract File getNoBackupFilesDir();

  public abstract <T> T getSystemService(Class<T> service);
}

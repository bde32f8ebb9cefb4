/** A file that Android reads the rules for backups from, and how the manifest names it. */
export interface RuleFile {
  readonly attribute: string;
  readonly resource: string;
  readonly xml: (folders: readonly string[]) => string;
}

/** Android 12 and later asks for one form, and what came before for the other. */
export const RULE_FILES: readonly RuleFile[] = [
  {
    attribute: 'android:dataExtractionRules',
    resource: 'syncline_data_extraction_rules',
    xml: (folders) =>
      document('data-extraction-rules', [
        '  <cloud-backup>',
        ...excluded(folders, '    '),
        '  </cloud-backup>',
        '  <device-transfer>',
        ...excluded(folders, '    '),
        '  </device-transfer>',
      ]),
  },
  {
    attribute: 'android:fullBackupContent',
    resource: 'syncline_backup_rules',
    xml: (folders) => document('full-backup-content', excluded(folders, '  ')),
  },
];

/** How the manifest names the file. */
export function reference({ resource }: RuleFile): string {
  return `@xml/${resource}`;
}

/** Whether rules are still to be written where the manifest says this: rules of the app, or none at all, stay. */
export function isOurs(file: RuleFile, value: string | undefined): boolean {
  // `true` is what the system does without a word.
  return value === undefined || value === 'true' || value === reference(file);
}

function excluded(folders: readonly string[], indent: string): string[] {
  return folders.map((folder) => `${indent}<exclude domain="root" path="${folder}"/>`);
}

function document(root: string, lines: readonly string[]): string {
  return ['<?xml version="1.0" encoding="utf-8"?>', `<${root}>`, ...lines, `</${root}>`, ''].join('\n');
}

import { type ReactNode, useState } from 'react';
import { Pressable, StyleSheet, Text, TextInput, type TextInputProps, View } from 'react-native';

interface ButtonProps {
  readonly label: string;
  readonly onPress: () => void;
  readonly disabled?: boolean;
}

export function Button({ label, onPress, disabled = false }: ButtonProps) {
  return (
    <Pressable
      accessibilityRole="button"
      accessibilityLabel={label}
      disabled={disabled}
      onPress={onPress}
      style={({ pressed }) => [styles.button, (pressed || disabled) && styles.faded]}
    >
      <Text style={styles.buttonText}>{label}</Text>
    </Pressable>
  );
}

interface FieldProps extends Pick<
  TextInputProps,
  'value' | 'onChangeText' | 'onSubmitEditing' | 'multiline'
> {
  readonly label: string;
}

export function Field({ label, ...input }: FieldProps) {
  return (
    <TextInput
      accessibilityLabel={label}
      placeholder={label}
      placeholderTextColor="#767676"
      style={styles.field}
      {...input}
    />
  );
}

interface ComposerProps {
  readonly label: string;
  readonly button: string;
  readonly onSubmit: (text: string) => void;
  /** For every keystroke. */
  readonly onType?: () => void;
}

/** A text and the button that hands it over, which empties the field. */
export function Composer({ label, button, onSubmit, onType }: ComposerProps) {
  const [text, setText] = useState('');
  const change = (value: string) => {
    onType?.();
    setText(value);
  };
  const submit = () => {
    onSubmit(text);
    setText('');
  };
  return (
    <Row>
      <Field label={label} value={text} onChangeText={change} onSubmitEditing={submit} />
      <Button label={button} disabled={text === ''} onPress={submit} />
    </Row>
  );
}

export function Row({ children }: { readonly children: ReactNode }) {
  return <View style={styles.row}>{children}</View>;
}

export function Card({ children }: { readonly children: ReactNode }) {
  return <View style={styles.card}>{children}</View>;
}

export function Title({ children }: { readonly children: ReactNode }) {
  return (
    <Text accessibilityRole="header" style={styles.title}>
      {children}
    </Text>
  );
}

export function Hint({ children }: { readonly children: ReactNode }) {
  return <Text style={styles.hint}>{children}</Text>;
}

const styles = StyleSheet.create({
  button: { backgroundColor: '#1f5fbf', borderRadius: 8, paddingHorizontal: 14, paddingVertical: 10 },
  buttonText: { color: '#fff', fontWeight: '600' },
  faded: { opacity: 0.5 },
  field: {
    backgroundColor: '#fff',
    borderColor: '#b5b5b5',
    borderRadius: 8,
    borderWidth: 1,
    color: '#111',
    flexGrow: 1,
    flexShrink: 1,
    padding: 10,
  },
  row: { alignItems: 'center', flexDirection: 'row', flexWrap: 'wrap', gap: 8 },
  card: { backgroundColor: '#fff', borderRadius: 10, gap: 6, marginVertical: 4, padding: 12 },
  title: { fontSize: 20, fontWeight: '700', marginBottom: 6 },
  hint: { color: '#5c5c5c' },
});

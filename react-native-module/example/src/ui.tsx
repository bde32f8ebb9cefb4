import type { ReactNode } from 'react';
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

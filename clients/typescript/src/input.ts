/**
 * A request as a caller writes it: every field may be left out or be undefined (its default is sent), enums may be written as text, arrays
 * may be readonly.
 */
export type Input<T> = T extends Date | Uint8Array
  ? T
  : T extends string
    ? T | `${T}`
    : T extends number | boolean | bigint | undefined
      ? T
      : T extends readonly (infer Item)[]
        ? readonly Input<Item>[]
        : { readonly [Field in keyof T]?: Input<T[Field]> | undefined }

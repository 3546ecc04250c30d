/** Something immutable whose optional fields are still being filled in. */
export type Unfinished<T> = { -readonly [Key in keyof T]: T[Key] };

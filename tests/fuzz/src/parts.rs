//! Inputs of several parts.

/// Splits an input at bytes that no UTF-8 text has; what is missing is empty.
pub fn parts<const COUNT: usize>(data: &[u8]) -> [&[u8]; COUNT] {
    let mut parts = data.splitn(COUNT, |byte| *byte == SEPARATOR);
    [(); COUNT].map(|()| parts.next().unwrap_or_default())
}

/// See [`parts`].
pub const SEPARATOR: u8 = 0xff;

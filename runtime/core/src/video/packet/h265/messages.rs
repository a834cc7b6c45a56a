//! Supplemental enhancement information of H.265.

use super::bits::{Bits, Payload};

/// Where gradual refresh is over: so many pictures behind the one that comes with it, in output
/// order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Recovery {
    pub count: i64,
}

/// The recovery point among the messages of a unit. Sections 7.3.5 and D.2.8.
///
/// What it says of exactness and of a broken link is not looked at: from the recovery point on,
/// pictures are to be shown either way.
pub(super) fn recovery_point(unit: &[u8]) -> Option<Recovery> {
    const RECOVERY_POINT: u32 = 6;
    let mut payload = Payload::of(unit);
    // A number is as many bytes 255 as it takes, and a last one.
    let number = |payload: &mut Payload<'_>| {
        let mut number = 0_u32;
        loop {
            let byte = payload.next()?;
            number = number.saturating_add(byte.into());
            if byte < u8::MAX {
                return Some(number);
            }
        }
    };
    loop {
        let (kind, size) = (number(&mut payload)?, number(&mut payload)?);
        if kind == RECOVERY_POINT {
            return Bits::new(payload).signed().map(|count| Recovery { count });
        }
        if size > 0 {
            payload.nth(size as usize - 1)?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_recovery_point_is_found_among_other_messages() {
        // -(-2) as se(v) is 00100, and two flags.
        let recovery = [6, 1, 0b0010_0110];
        let user_data = [&[5, 255, 2][..], &[0x55; 257]].concat();
        let unit = |messages: &[&[u8]]| [&[39 << 1, 1], &messages.concat()[..], &[0x80]].concat();
        let found = Some(Recovery { count: 2 });
        assert_eq!(recovery_point(&unit(&[&recovery])), found);
        assert_eq!(recovery_point(&unit(&[&user_data, &[1, 0], &recovery])), found);
        assert_eq!(recovery_point(&unit(&[&user_data])), None);
        assert_eq!(recovery_point(&unit(&[&[6, 1, 0b1100_0000]])), Some(Recovery { count: 0 }));
        assert_eq!(recovery_point(&[39 << 1, 1, 6]), None);
    }
}

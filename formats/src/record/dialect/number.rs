//! Decimal numbers.

/// Reads decimal digits and nothing else; `None` also where 64 bits are not enough.
#[inline]
pub(crate) fn number(digits: &[u8]) -> Option<u64> {
    // Nineteen digits always fit into 64 bits.
    if digits.is_empty() || digits.len() > 19 {
        let all = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
        return std::str::from_utf8(digits).ok().filter(|_| all)?.parse().ok();
    }
    let (mut number, mut rest) = (0u64, digits);
    while let Some((eight, after)) = rest.split_first_chunk::<8>() {
        number = number.wrapping_mul(100_000_000).wrapping_add(eight_digits(*eight)?);
        rest = after;
    }
    for byte in rest {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        number = number.wrapping_mul(10).wrapping_add(u64::from(digit));
    }
    Some(number)
}

/// Eight digits at once: neighbours are joined to pairs, pairs to fours, fours to eight.
#[inline]
fn eight_digits(digits: [u8; 8]) -> Option<u64> {
    const HIGH: u64 = 0xF0F0_F0F0_F0F0_F0F0;
    const ZEROS: u64 = 0x3030_3030_3030_3030;
    const SIXES: u64 = 0x0606_0606_0606_0606;
    let word = u64::from_le_bytes(digits);
    if word & HIGH != ZEROS || word.wrapping_add(SIXES) & HIGH != ZEROS {
        return None;
    }
    let ones = word & !HIGH;
    let pairs = (ones.wrapping_mul(10).wrapping_add(ones >> 8)) & 0x00FF_00FF_00FF_00FF;
    let fours = (pairs.wrapping_mul(100).wrapping_add(pairs >> 16)) & 0x0000_FFFF_0000_FFFF;
    Some(fours.wrapping_mul(10_000).wrapping_add(fours >> 32) & 0xFFFF_FFFF)
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn digits_of_all_lengths_are_read() {
        for text in
            ["0", "7", "42", "1795430334", "12345678", "123456789", "1234567890123456789", "18446744073709551615"]
        {
            assert_eq!(number(text.as_bytes()), text.parse().ok(), "{text}");
        }
        for text in
            ["", "-1", "+1", "1 ", "12345a78", "1234567/", "1234567:", "18446744073709551616", "99999999999999999999x"]
        {
            assert_eq!(number(text.as_bytes()), None, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn every_number_is_read(wanted: u64) {
            assert_eq!(number(wanted.to_string().as_bytes()), Some(wanted));
        }

        #[test]
        fn nothing_else_is_a_number(bytes in proptest::collection::vec(0x20u8..0x7F, 1..22)) {
            let text = String::from_utf8(bytes.clone()).unwrap();
            let digits = bytes.iter().all(u8::is_ascii_digit);
            assert_eq!(number(&bytes), text.parse().ok().filter(|_| digits));
        }
    }
}

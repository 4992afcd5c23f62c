//! Decimal numbers.

/// Eight digits 0.
const ZEROS: u64 = 0x3030_3030_3030_3030;

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

/// Reads the digits at the start of `input`, as Cyrus writes a number: the number and how many digits it has. `None` where
/// there is none, where a needless 0 leads, and where there are 16 digits or more.
#[inline]
pub(crate) fn leading(input: &[u8]) -> Option<(u64, usize)> {
    let (high, count) = up_to_eight(input);
    if count == 0 || (count > 1 && input.first() == Some(&b'0')) {
        return None;
    }
    if count < 8 {
        return Some((high, count));
    }
    let (low, more) = up_to_eight(input.get(8..)?);
    let power = POWERS.get(more).copied()?;
    (more < 8).then(|| (high * power + low, 8 + more))
}

const POWERS: [u64; 8] = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000];

/// How many digits `input` starts with.
#[inline(always)]
pub(crate) fn digits_len(input: &[u8]) -> usize {
    let mut rest = input;
    while let Some((eight, after)) = rest.split_first_chunk::<8>() {
        let others = others(u64::from_le_bytes(*eight) ^ ZEROS);
        if others != 0 {
            return input.len().saturating_sub(rest.len()) + (others.trailing_zeros() / 8) as usize;
        }
        rest = after;
    }
    input.len().saturating_sub(rest.len()) + rest.iter().take_while(|byte| byte.is_ascii_digit()).count()
}

/// The high bit of each byte that is more than 9.
#[inline(always)]
fn others(ones: u64) -> u64 {
    const LOW_BITS: u64 = 0x7F7F_7F7F_7F7F_7F7F;
    const TO_HIGH_BIT: u64 = 0x7676_7676_7676_7676;
    ((ones & LOW_BITS).wrapping_add(TO_HIGH_BIT) | ones) & !LOW_BITS
}

/// At most eight digits at the start of `input`: the number and how many there are.
#[inline(always)]
fn up_to_eight(input: &[u8]) -> (u64, usize) {
    let mut bytes = [b' '; 8];
    match input.first_chunk::<8>() {
        Some(eight) => bytes = *eight,
        None => bytes.iter_mut().zip(input).for_each(|(to, from)| *to = *from),
    }
    let ones = u64::from_le_bytes(bytes) ^ ZEROS;
    let count = (others(ones).trailing_zeros() / 8) as usize;
    // Zeros are put in front, where they count nothing.
    let ones = if count == 0 { 0 } else { ones << (64 - 8 * count) };
    (joined(ones), count)
}

/// Eight digits at once: neighbours are joined to pairs, pairs to fours, fours to eight.
#[inline]
fn eight_digits(digits: [u8; 8]) -> Option<u64> {
    const HIGH: u64 = 0xF0F0_F0F0_F0F0_F0F0;
    const SIXES: u64 = 0x0606_0606_0606_0606;
    let word = u64::from_le_bytes(digits);
    if word & HIGH != ZEROS || word.wrapping_add(SIXES) & HIGH != ZEROS {
        return None;
    }
    Some(joined(word & !HIGH))
}

/// What the digits in the bytes of a word are together, the first of them in its lowest byte.
#[inline(always)]
fn joined(ones: u64) -> u64 {
    let pairs = (ones.wrapping_mul(10).wrapping_add(ones >> 8)) & 0x00FF_00FF_00FF_00FF;
    let fours = (pairs.wrapping_mul(100).wrapping_add(pairs >> 16)) & 0x0000_FFFF_0000_FFFF;
    fours.wrapping_mul(10_000).wrapping_add(fours >> 32) & 0xFFFF_FFFF
}

#[cfg(test)]
mod tests {
    use super::{digits_len, leading, number};

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
        fn the_digits_in_front_of_anything_are_read(wanted: u64, behind in "[^0-9]{0,9}|[ )]") {
            let digits = wanted.to_string();
            let expected = (digits.len() < 16).then_some((wanted, digits.len()));
            assert_eq!(leading(format!("{digits}{behind}").as_bytes()), expected);
            assert_eq!(leading(format!("0{digits}{behind}").as_bytes()), None);
            assert_eq!(leading(behind.as_bytes()), None);
        }

        #[test]
        fn short_numbers_are_read_in_front_of_anything(wanted in 0u64..1_000_000_000_000_000, kept in 1u32..16, behind in "[ -~é]{0,3}") {
            let wanted = wanted % 10u64.pow(kept);
            let digits = wanted.to_string();
            let text = format!("{digits}{behind}");
            let more = behind.bytes().take_while(u8::is_ascii_digit).count();
            if more == 0 {
                assert_eq!(leading(text.as_bytes()), Some((wanted, digits.len())));
            }
        }

        #[test]
        fn digits_are_counted_in_front_of_anything(digits in "[0-9]{0,30}", behind in "([^0-9].{0,9})?") {
            assert_eq!(digits_len(format!("{digits}{behind}").as_bytes()), digits.len());
        }

        #[test]
        fn nothing_else_is_a_number(bytes in proptest::collection::vec(0x20u8..0x7F, 1..22)) {
            let text = String::from_utf8(bytes.clone()).unwrap();
            let digits = bytes.iter().all(u8::is_ascii_digit);
            assert_eq!(number(&bytes), text.parse().ok().filter(|_| digits));
        }
    }
}

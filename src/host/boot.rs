//! Which boot of the machine this is.

/// 16 bytes that are others after each boot; zeros where the kernel does not tell.
pub fn boot_id() -> [u8; 16] {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    parse(&text).unwrap_or_else(|| {
        tracing::warn!("the kernel does not tell its boot id");
        [0; 16]
    })
}

fn parse(uuid: &str) -> Option<[u8; 16]> {
    let digits: String = uuid.trim().chars().filter(|c| *c != '-').collect();
    u128::from_str_radix(&digits, 16).ok().map(u128::to_be_bytes)
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_uuid_is_sixteen_bytes() {
        let id = super::parse("00010203-0405-0607-0809-0a0b0c0d0e0f\n").unwrap();
        assert_eq!(id, std::array::from_fn(|i| i as u8));
        assert_eq!(super::parse(""), None);
    }
}

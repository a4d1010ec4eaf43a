//! The helper process by itself, for tests; a host runs its own binary instead.

fn main() {
    holdfast_remotes::folder::helper_main()
}

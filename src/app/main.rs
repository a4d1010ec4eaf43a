fn main() -> std::process::ExitCode {
    holdfast::main()
}

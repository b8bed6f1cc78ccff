# The package over what it is called with, nothing of which is built.
{
  rust,
}:
let
  nixpkgs = import ./nixpkgs.nix;
  pkgs = nixpkgs.legacyPackages.x86_64-linux // {
    rustc.version = rust;
  };
  package = nixpkgs.called pkgs ../../package.nix;
in
{
  inherit (package) version;
  missing = builtins.filter (file: !(builtins.pathExists file)) package.src;
}

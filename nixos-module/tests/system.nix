# A system of the given modules, as far as vaned is concerned: nixpkgs' `lib` if it is given, else what
# stands in for it, and of `pkgs` what the module uses.
{
  modules,
  nixpkgsLib ? null,
  # Where `bin/vaned` lies.
  package ? "/vane",
}:
let
  lib = if nixpkgsLib == null then import ./stand-in.nix else nixpkgsLib;

  run =
    name: variables: script:
    derivation (
      variables
      // {
        inherit name;
        system = builtins.currentSystem or "x86_64-linux";
        builder = "/bin/sh";
        args = [
          "-e"
          "-c"
          script
        ];
        PATH = "/usr/bin:/bin";
      }
    );

  platform.canExecute = _: true;

  pkgs = {
    vane = package;
    runCommand = run;
    stdenv = {
      buildPlatform = platform;
      hostPlatform = platform;
    };
    formats.json = _: {
      type = lib.json or (lib.types.attrsOf lib.types.anything);
      generate =
        name: value: run name { value = builtins.toJSON value; } ''printf '%s' "$value" > $out'';
    };
  };
in
lib.evalModules {
  modules = [
    ../default.nix
    ./stub.nix
  ]
  ++ modules;
  specialArgs = { inherit pkgs; };
}
// {
  inherit lib;
}

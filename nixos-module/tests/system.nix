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

  # As nixpkgs has it.
  json =
    with lib.types;
    nullOr (
      either bool (either int (either float (either str (either path (either (attrsOf json) (listOf json))))))
    )
    // {
      description = "JSON value";
    };

  pkgs = {
    vane = {
      type = "derivation";
      name = "vane";
      outPath = package;
    };
    runCommand = run;
    stdenv = {
      buildPlatform = platform;
      hostPlatform = platform;
    };
    formats.json = _: {
      type = json;
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

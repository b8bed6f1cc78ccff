# services.vaned: the daemon, its sockets and its configuration as one NixOS module. docs/nixos.md shows
# how it is used.
{
  imports = [
    ./options.nix
    ./configuration.nix
    ./service.nix
    ./sockets.nix
  ];
}

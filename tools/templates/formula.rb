# Homebrew formula: brew install --formula ./network-mapper.rb
class NetworkMapper < Formula
  desc "Draws the map of who talks to whom inside a Kubernetes cluster"
  homepage "$homepage"
  version "$version"
  license "Apache-2.0"

  depends_on "python@3.13"

$systems
  def install
    libexec.install "network-mapper"
    python = Formula["python@3.13"].opt_bin/"python3.13"
    ["network-mapper", "kubectl-network_mapper"].each do |name|
      libexec.install_symlink libexec/"network-mapper" => name unless name == "network-mapper"
      (bin/name).write <<~SH
        #!/bin/sh
        exec "#{python}" "#{libexec}/#{name}" "$$@"
      SH
      chmod 0755, bin/name
    end
    man1.install Dir["man/*.1"]
    bash_completion.install "completions/network-mapper.bash" => "network-mapper"
    zsh_completion.install "completions/_network-mapper"
    fish_completion.install "completions/network-mapper.fish"
  end

  test do
    assert_match "network-mapper $version", shell_output("#{bin}/network-mapper --version")
  end
end
